#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <map>
#include <utility>

namespace manyform {
namespace {

NamedTensors Named(const NamedTensors& names, const std::vector<at::Tensor>& tensors) {
  NamedTensors named;
  for (size_t i = 0; i < names.size(); ++i) named.emplace_back(names[i].first, tensors[i]);
  return named;
}

}  // namespace

AdamW::AdamW(NamedTensors parameters, const AdamWOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const auto& [name, tensor] : parameters_) {
    exp_avg_.push_back(at::zeros_like(tensor.detach()));
    exp_avg_sq_.push_back(at::zeros_like(tensor.detach()));
    // f32, as PyTorch keeps it in its checkpoints.
    step_.push_back(at::zeros({}, tensor.detach().options().dtype(at::kFloat)));
  }
}

void AdamW::ClearGradients() {
  for (auto& [name, tensor] : parameters_) tensor.mutable_grad().reset();
}

double AdamW::GradientNorm() const {
  std::vector<at::Tensor> norms;
  for (const auto& [name, tensor] : parameters_)
    if (tensor.grad().defined()) norms.push_back(at::linalg_vector_norm(tensor.grad(), 2));
  if (norms.empty()) return 0;
  // In one piece: a GPU is waited for once.
  const at::Tensor together = at::stack(norms).cpu().to(at::kDouble);
  double sum = 0;
  for (int64_t i = 0; i < together.numel(); ++i) {
    const double norm = together.const_data_ptr<double>()[i];
    sum += norm * norm;
  }
  return std::sqrt(sum);
}

void AdamW::ScaleGradients(double factor) {
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : parameters_)
    if (tensor.grad().defined()) tensor.mutable_grad().mul_(factor);
}

void AdamW::Step() {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> weights, gradients, averages, squares, steps;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& tensor = parameters_[i].second;
    if (!tensor.grad().defined()) continue;
    weights.push_back(tensor);
    gradients.push_back(tensor.grad());
    averages.push_back(exp_avg_[i]);
    squares.push_back(exp_avg_sq_[i]);
    steps.push_back(step_[i]);
    step_[i].add_(1);
  }
  if (weights.empty()) return;
  at::_fused_adamw_(weights, gradients, averages, squares, /*max_exp_avg_sqs=*/{}, steps, options_.lr,
                    options_.beta1, options_.beta2, options_.weight_decay, options_.eps, /*amsgrad=*/false,
                    /*maximize=*/false);
}

void AdamW::Save(Checkpoint* checkpoint) const {
  checkpoint->exp_avg = Named(parameters_, exp_avg_);
  checkpoint->exp_avg_sq = Named(parameters_, exp_avg_sq_);
  checkpoint->step = Named(parameters_, step_);
}

std::vector<std::string> AdamW::Load(const Checkpoint& checkpoint) {
  const std::map<std::string, at::Tensor> averages(checkpoint.exp_avg.begin(), checkpoint.exp_avg.end());
  const std::map<std::string, at::Tensor> squares(checkpoint.exp_avg_sq.begin(), checkpoint.exp_avg_sq.end());
  const std::map<std::string, at::Tensor> steps(checkpoint.step.begin(), checkpoint.step.end());
  std::vector<std::string> fresh;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& [name, tensor] = parameters_[i];
    const auto fits = [&, &name = name](const std::map<std::string, at::Tensor>& state,
                                        const at::Tensor& like) {
      const auto found = state.find(name);
      return found != state.end() && found->second.sizes() == like.sizes() &&
             found->second.scalar_type() == at::kFloat;
    };
    if (!fits(averages, tensor) || !fits(squares, tensor) || !fits(steps, step_[i])) {
      fresh.push_back(name);
      continue;
    }
    exp_avg_[i].copy_(averages.at(name));
    exp_avg_sq_[i].copy_(squares.at(name));
    step_[i].copy_(steps.at(name));
  }
  return fresh;
}

}  // namespace manyform

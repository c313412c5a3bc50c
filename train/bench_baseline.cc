#include "train/bench_baseline.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <utility>

#include "data/tokens.h"

namespace manyform {
namespace {

constexpr double kLr = 3e-4, kWeightDecay = 0.05, kBeta1 = 0.9, kBeta2 = 0.999, kEps = 1e-8;
constexpr double kNormEps = 1e-5, kCosineEps = 1e-8;
constexpr int64_t kLayerTensors = 12;

at::Tensor Attention(const at::Tensor& x, const NamedTensors& w, size_t at, int64_t heads,
                     const at::Tensor& mask) {
  const int64_t batch = x.size(0), length = x.size(1), d = x.size(2);
  const at::Tensor qkv = at::linear(x, w[at].second, w[at + 1].second);
  // As nn.MultiheadAttention cuts them: (3,B,T,d), each contiguous.
  const at::Tensor parts = qkv.unflatten(-1, {3, d}).unsqueeze(0).transpose(0, -2).squeeze(-2).contiguous();
  const auto head = [&](int64_t i) {
    return parts.select(0, i).view({batch, length, heads, d / heads}).transpose(1, 2);
  };
  const at::Tensor mixed = at::scaled_dot_product_attention(head(0), head(1), head(2), mask);
  return at::linear(mixed.transpose(1, 2).reshape({batch, length, d}), w[at + 2].second, w[at + 3].second);
}

at::Tensor Layer(const at::Tensor& input, const NamedTensors& w, size_t at, int64_t heads,
                 const at::Tensor& mask) {
  const auto norm = [&](const at::Tensor& x, size_t first) {
    return at::layer_norm(x, {x.size(-1)}, w[first].second, w[first + 1].second, kNormEps);
  };
  const at::Tensor x = input + Attention(norm(input, at + 8), w, at, heads, mask);
  const at::Tensor inner = at::gelu(at::linear(norm(x, at + 10), w[at + 4].second, w[at + 5].second));
  return x + at::linear(inner, w[at + 6].second, w[at + 7].second);
}

}  // namespace

at::Tensor BaselineNepaLoss(const QueryTransformer& model, const at::Tensor& feat, const at::Tensor& type_id,
                            const at::Tensor& mask) {
  const NamedTensors& w = model.parameters();
  const at::Tensor z = model.Embed(feat, type_id);
  const PrecisionScope scope(model.device(), model.precision());
  at::Tensor h = z;
  // pos_emb, type_emb and the token MLP come first, pred_head last.
  for (int64_t i = 0; i < model.config().layers; ++i)
    h = Layer(h, w, static_cast<size_t>(6 + i * kLayerTensors), model.config().heads, mask);
  const at::Tensor z_hat = at::linear(h, w[w.size() - 2].second, w[w.size() - 1].second).to(at::kFloat);

  const at::Tensor next = type_id.slice(1, 1);
  const at::Tensor answers = next.eq(kAnswerPoint).logical_or(next.eq(kAnswerRay));
  const at::Tensor valid = answers.any().item<bool>() ? answers : next.ne(kMissingRay);
  const at::Tensor losses =
      1 - at::cosine_similarity(z_hat.slice(1, 0, -1), z.detach().slice(1, 1), -1, kCosineEps);
  return losses.masked_select(valid).mean();
}

BaselineAdamW::BaselineAdamW(NamedTensors parameters) : parameters_(std::move(parameters)) {
  for (const auto& [name, tensor] : parameters_) {
    exp_avg_.push_back(at::zeros_like(tensor.detach()));
    exp_avg_sq_.push_back(at::zeros_like(tensor.detach()));
  }
}

void BaselineAdamW::ClearGradients() {
  for (auto& [name, tensor] : parameters_) tensor.mutable_grad().reset();
}

void BaselineAdamW::Step() {
  const at::NoGradGuard no_grad;
  ++step_;
  const double unbias1 = 1 - std::pow(kBeta1, step_), unbias2 = 1 - std::pow(kBeta2, step_);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& gradient = parameters_[i].second.grad();
    if (!gradient.defined()) continue;
    at::Tensor weight = parameters_[i].second;
    weight.mul_(1 - kLr * kWeightDecay);
    exp_avg_[i].lerp_(gradient, 1 - kBeta1);
    exp_avg_sq_[i].mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
    const at::Tensor scale = exp_avg_sq_[i].sqrt().div_(std::sqrt(unbias2)).add_(kEps);
    weight.addcdiv_(exp_avg_[i], scale, -kLr / unbias1);
  }
}

}  // namespace manyform

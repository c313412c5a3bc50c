#include "eval/lipschitz.h"

#include <cmath>
#include <map>
#include <utility>

#include "ATen/ATen.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "c10/core/InferenceMode.h"

namespace manyform {
namespace {

using Groups = std::vector<std::vector<int64_t>>;

/// Rows of each shape that has two or more, by shape.
Groups GroupRows(std::span<const int64_t> shape) {
  std::map<int64_t, std::vector<int64_t>> by_shape;
  for (size_t i = 0; i < shape.size(); ++i) by_shape[shape[i]].push_back(static_cast<int64_t>(i));
  Groups groups;
  for (auto& [key, rows] : by_shape)
    if (rows.size() >= 2) groups.push_back(std::move(rows));
  return groups;
}

struct Pairs {
  at::Tensor first, second;  ///< (P) i64 rows
};

absl::StatusOr<Pairs> DrawPairs(const Groups& groups, int64_t n, NumpyRandomState& random) {
  Pairs pairs = {at::empty({n}, at::kLong), at::empty({n}, at::kLong)};
  int64_t* first = pairs.first.mutable_data_ptr<int64_t>();
  int64_t* second = pairs.second.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < n; ++i) {
    const std::vector<int64_t>& rows = groups[random.RandInt(0, static_cast<int64_t>(groups.size()))];
    MF_ASSIGN_OR_RETURN(const std::vector<int64_t> two,
                        random.Choice(static_cast<int64_t>(rows.size()), 2, /*replace=*/false));
    first[i] = rows[two[0]];
    second[i] = rows[two[1]];
  }
  return pairs;
}

/// Of predictions p, by how much pairs differ beyond their distance; and the gradient of the mean in the
/// pairs' difference.
struct Violation {
  double mean = 0;
  at::Tensor pull;  ///< (P)
};

Violation MeasureViolation(const at::Tensor& p, const at::Tensor& xyz, const Pairs& pairs) {
  const at::Tensor difference = p.index_select(0, pairs.first) - p.index_select(0, pairs.second);
  const at::Tensor apart =
      (xyz.index_select(0, pairs.first) - xyz.index_select(0, pairs.second)).square().sum(1).sqrt();
  const at::Tensor beyond = (difference.abs() - apart).relu();
  return {beyond.mean().item<double>(),
          difference.sign() * (beyond > 0).to(at::kFloat) * (1.0 / static_cast<double>(difference.size(0)))};
}

/// PyTorch's Adam with its default moments.
class Adam {
 public:
  Adam(const at::Tensor& like, double learning_rate)
      : mean_(at::zeros_like(like)), square_(at::zeros_like(like)), learning_rate_(learning_rate) {}
  void Step(const at::Tensor& gradient, at::Tensor* weights) {
    constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;
    ++steps_;
    mean_.mul_(kBeta1).add_(gradient, 1 - kBeta1);
    square_.mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
    const double bias1 = 1 - std::pow(kBeta1, steps_), bias2 = 1 - std::pow(kBeta2, steps_);
    const at::Tensor denominator = square_.sqrt().div_(std::sqrt(bias2)).add_(kEpsilon);
    weights->addcdiv_(mean_, denominator, -learning_rate_ / bias1);
  }

 private:
  at::Tensor mean_, square_;
  double learning_rate_;
  int steps_ = 0;
};

}  // namespace

absl::StatusOr<LipschitzReport> RefineLipschitz(const LipschitzRows& rows, const LipschitzOptions& options,
                                                NumpyRandomState& random, at::Tensor* head) {
  const c10::InferenceMode no_gradients;
  const int64_t n = rows.x.size(0), d = rows.x.size(1);
  const Groups groups = GroupRows(rows.shape);
  LipschitzReport report = {.shapes = static_cast<int64_t>(groups.size())};
  if (groups.empty())
    return absl::FailedPreconditionError(
        "no shape has two of the rows that the Lipschitz refinement compares");
  at::Tensor target = at::empty({n});
  std::copy(rows.target.begin(), rows.target.end(), target.mutable_data_ptr<float>());
  at::Tensor weights = head->clone();
  const auto predict = [&] { return at::addmv(weights[d], rows.x, weights.narrow(0, 0, d)); };

  MF_ASSIGN_OR_RETURN(Pairs pairs, DrawPairs(groups, options.pairs, random));
  report.at_start = MeasureViolation(predict(), rows.xyz, pairs).mean;
  if (!(report.at_start > 0)) return report;
  report.refined = true;

  Adam adam(weights, options.learning_rate);
  for (int64_t step = 0; step < options.steps; ++step) {
    MF_ASSIGN_OR_RETURN(pairs, DrawPairs(groups, options.pairs, random));
    const at::Tensor p = predict(), residual = p - target;
    const Violation violation = MeasureViolation(p, rows.xyz, pairs);
    report.violation = violation.mean;
    report.mse = residual.square().mean().item<double>();
    const at::Tensor w = weights.narrow(0, 0, d);
    report.ridge = options.ridge_lambda * w.square().mean().item<double>();
    report.loss = report.mse + report.ridge + options.weight * report.violation;
    const at::Tensor in_p = residual * (2.0 / static_cast<double>(n));
    const at::Tensor apart = rows.x.index_select(0, pairs.first) - rows.x.index_select(0, pairs.second);
    // The bias moves both points of a pair alike: the bound says nothing of it.
    const at::Tensor in_w = at::mv(rows.x.t(), in_p) + at::mv(apart.t(), violation.pull * options.weight) +
                            w * (2 * options.ridge_lambda / static_cast<double>(d));
    adam.Step(at::cat({in_w, in_p.sum().reshape({1})}), &weights);
    if (!std::isfinite(report.loss)) {
      return absl::FailedPreconditionError(
          absl::StrCat("the Lipschitz refinement diverged at step ", step + 1, "; lower ridge_lipschitz_lr"));
    }
  }
  *head = weights;
  return report;
}

}  // namespace manyform

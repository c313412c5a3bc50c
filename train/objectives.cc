#include "train/objectives.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "data/tokens.h"

namespace manyform {
namespace {

constexpr double kCosineEps = 1e-8;

bool IsAnswer(int64_t type) { return type == kAnswerPoint || type == kAnswerRay; }

// torch.randperm on the CPU.
std::vector<int64_t> TorchPermutation(int64_t n, NumpyRandomState& random) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = 0; i + 1 < n; ++i) std::swap(order[i], order[i + random.Next32() % (n - i)]);
  return order;
}

}  // namespace

bool HasAnswers(const at::Tensor& type_id) {
  const at::Tensor types = type_id.cpu().contiguous();
  const int64_t* type = types.const_data_ptr<int64_t>();
  return std::any_of(type, type + types.numel(), IsAnswer);
}

at::Tensor PredictingRows(const at::Tensor& type_id, std::optional<bool> answers_given) {
  const int64_t batch = type_id.size(0), length = type_id.size(1);
  const at::Tensor types = type_id.cpu().contiguous();
  const int64_t* type = types.const_data_ptr<int64_t>();
  const bool answers = answers_given ? *answers_given : HasAnswers(types);
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < batch * length; ++row) {
    if (row % length + 1 == length) continue;
    const int64_t next = type[row + 1];
    if (answers ? IsAnswer(next) : next != kMissingRay) rows.push_back(row);
  }
  return at::tensor(rows, at::kLong);
}

at::Tensor CosineLosses(const at::Tensor& predicted, const at::Tensor& target) {
  return 1 - at::cosine_similarity(predicted, target, 1, kCosineEps);
}

at::Tensor CosineLoss(const at::Tensor& predicted, const at::Tensor& target) {
  if (predicted.size(0) == 0) return predicted.sum();
  return CosineLosses(predicted, target).mean();
}

at::Tensor NepaLoss(const QueryTransformer& model, const at::Tensor& feat, const at::Tensor& type_id) {
  const at::Tensor rows = PredictingRows(type_id).to(type_id.device());
  const Hidden hidden = model.Forward(feat, type_id, {.rows = rows});
  return CosineLoss(hidden.z_hat, hidden.z.detach().flatten(0, 1).index_select(0, rows + 1));
}

at::Tensor MaskTokens(const at::Tensor& type_id, double ratio, NumpyRandomState& random) {
  const int64_t batch = type_id.size(0), length = type_id.size(1);
  const at::Tensor types = type_id.cpu().contiguous();
  at::Tensor masked = at::zeros({batch, length}, at::kBool);
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t* type = types.const_data_ptr<int64_t>() + b * length;
    std::vector<int64_t> candidates;
    for (int64_t t = 0; t < length; ++t)
      if (type[t] != kBos && type[t] != kEos) candidates.push_back(t);
    const auto n = static_cast<int64_t>(candidates.size());
    const std::vector<int64_t> order = TorchPermutation(n, random);
    const auto chosen = static_cast<int64_t>(static_cast<double>(n) * ratio);
    for (int64_t i = 0; i < chosen; ++i) masked.data_ptr<bool>()[b * length + candidates[order[i]]] = true;
  }
  return masked;
}

at::Tensor MaeLoss(const QueryTransformer& model, const at::Tensor& feat, const at::Tensor& type_id,
                   const at::Tensor& masked) {
  const at::Tensor rows = masked.flatten().nonzero().squeeze(1);
  at::Tensor target;
  {
    const at::NoGradGuard no_grad;
    target = model.Embed(feat, type_id).flatten(0, 1).index_select(0, rows);
  }
  const Hidden hidden = model.Forward(feat.masked_fill(masked.unsqueeze(-1), 0), type_id, {.rows = rows});
  if (rows.numel() == 0) return hidden.z_hat.sum();
  return at::mse_loss(hidden.z_hat, target);
}

}  // namespace manyform

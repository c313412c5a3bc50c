/// \file
/// What pretraining minimises: next-embedding prediction, or regression of masked embeddings.
#pragma once

#include <cstdint>
#include <optional>

#include "ATen/core/Tensor.h"
#include "base/numpy_random.h"
#include "model/query_transformer.h"

namespace manyform {

/// Whether a batch has any answer token. `type_id` (B,T) i64.
bool HasAnswers(const at::Tensor& type_id);

/// Tokens b*T+t whose next token is to be predicted, (N) i64 ascending: answers if the batch has any answer
/// at all, else everything but missing rays. `type_id` (B,T) i64. `answers`: whether it has, for a batch of
/// which these are not all sequences.
at::Tensor PredictingRows(const at::Tensor& type_id, std::optional<bool> answers = std::nullopt);

/// 1 - cos of each row of `predicted` and `target`, (N,d) each: (N).
at::Tensor CosineLosses(const at::Tensor& predicted, const at::Tensor& target);
/// Their mean; 0 without rows.
at::Tensor CosineLoss(const at::Tensor& predicted, const at::Tensor& target);

/// Next-embedding prediction: 1 - cos(z_hat[t], stop-gradient of z[t+1]), averaged over PredictingRows. A
/// scalar with a graph.
at::Tensor NepaLoss(const QueryTransformer& model, const at::Tensor& feat, const at::Tensor& type_id);

/// Per sequence int(ratio n) of its n tokens other than BOS and EOS: the first of torch.randperm(n) on
/// `random`, whose words are those of torch's CPU generator under the same seed. (B,T) bool.
at::Tensor MaskTokens(const at::Tensor& type_id, double ratio, NumpyRandomState& random);

/// Masked embedding regression: features of `masked` (B,T) tokens are zeroed, and z_hat there is regressed on
/// the stop-gradient of the embeddings of the whole input by mean squares. 0 if nothing is masked.
at::Tensor MaeLoss(const QueryTransformer& model, const at::Tensor& feat, const at::Tensor& type_id,
                   const at::Tensor& masked);

}  // namespace manyform

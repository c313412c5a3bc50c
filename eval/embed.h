/// \file
/// A shape as one vector: pooled hidden states of its sequences.
#pragma once

#include <cstdint>
#include <string_view>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "base/log.h"
#include "data/token_dataset.h"
#include "model/query_transformer.h"

namespace manyform {

/// Last token; mean over answers; mean of the predictions whose next token is an answer.
enum class Pooling { kEos, kMeanAnswers, kMeanPredicted };
/// "eos", "mean_a", "mean_zhat". \error InvalidArgument
absl::StatusOr<Pooling> ParsePooling(std::string_view name);

/// (B,d) from hidden states of (B,T) tokens. Where a sequence has no answers (legacy tokens), every token
/// that is not BOS, EOS or a missing ray counts as one; where that leaves none, every token. \pre
/// hidden.z_hat is there for kMeanPredicted
at::Tensor PoolHidden(const Hidden& hidden, const at::Tensor& type_id, Pooling pooling);

/// Rows of unit length; zero rows stay zero.
at::Tensor NormalizeRows(const at::Tensor& rows);

struct EmbedOptions {
  Pooling pooling = Pooling::kEos;
  int64_t eval_seed = 0;
  int64_t mc_k = 1;  ///< resamples, whose unit vectors are averaged
  bool ablate_point_xyz = false;
  int64_t batch = 32;
};

/// (n_shapes,d) unit rows of the first shapes of `dataset`. `progress` counts forward passes of one sequence.
/// \error as EvalTokens.
absl::StatusOr<at::Tensor> EmbedShapes(const QueryTransformer& model, const TokenDataset& dataset,
                                       int64_t n_shapes, const EmbedOptions& options, Progress& progress);

}  // namespace manyform

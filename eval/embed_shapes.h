/// \file
/// Shapes as vectors: pooled hidden states of their sequences.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/log.h"
#include "data/token_dataset.h"
#include "model/pooling.h"
#include "model/query_transformer.h"

namespace manyform {

struct EmbedOptions {
  Pooling pooling = Pooling::kEos;
  bool causal = true;
  int64_t eval_seed = 0;
  int64_t resamples = 1;
  bool ablate_point_xyz = false;
  int64_t batch = 32;
  int num_workers = 1;
  bool normalize = true;  ///< unit vectors are averaged over resamples, to one
};

/// Calls `use(first, pooled)` with the (B,d) vectors of shapes first to first+B-1 of the list, in order,
/// resample after resample. `progress` counts sequences.
/// \error of the first sequence that cannot be made, as EvalTokens; Cancelled after Ctrl-C.
absl::Status ForEachPooled(const QueryTransformer& model, const TokenDataset& dataset,
                           std::span<const int64_t> shapes, const EmbedOptions& options, Progress& progress,
                           const std::function<void(int64_t first, const at::Tensor& pooled)>& use);

/// (n,d) vectors on the CPU, averaged over resamples, of these `shapes`. \error as ForEachPooled.
absl::StatusOr<at::Tensor> EmbedShapes(const QueryTransformer& model, const TokenDataset& dataset,
                                       std::span<const int64_t> shapes, const EmbedOptions& options,
                                       Progress& progress);

/// Rows of unit length; zero rows stay zero.
at::Tensor NormalizeRows(const at::Tensor& rows);

/// The first `max_files` of n shapes; all for 0.
std::vector<int64_t> FirstShapes(int64_t n, int64_t max_files);

}  // namespace manyform

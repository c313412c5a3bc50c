/// \file
/// Unpaired cross-primitive retrieval: is a shape seen through one backend nearest to itself seen through
/// another?
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "data/shape_list.h"
#include "model/checkpoint.h"
#include "proto/eval.pb.h"

namespace manyform {

/// What tests look at on the way to a result.
struct UcprTrace {
  at::Tensor query, gallery;  ///< (N,d) unit rows
  std::vector<int64_t> ranks;
  /// Called with each block of scores, noise included: see RankTrueItems.
  std::function<void(int64_t, std::span<const float>)> scores;
};

/// Measures `model` on `shapes`, whatever config.cache_root, split and ckpt say. Resizes the model's
/// positions.
absl::StatusOr<UcprResult> MeasureUcpr(const UcprConfig& config, std::shared_ptr<const ShapeList> shapes,
                                       LoadedModel* model, UcprTrace* trace = nullptr);

/// The program's function. \error as ShapeList::Open and LoadModel, or of the first shape that fails.
absl::StatusOr<UcprResult> Ucpr(const UcprConfig& config);

}  // namespace manyform

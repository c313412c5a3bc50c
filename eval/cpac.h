/// \file
/// Completion of a distance field from a few context points: a linear head on frozen states, fitted on one
/// split and measured on another.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "data/shape_list.h"
#include "eval/completion_sample.h"
#include "model/checkpoint.h"
#include "proto/eval.pb.h"

namespace manyform {

/// What tests look at on the way to a result. Asked for, `x_*` hold every row: small runs only.
struct CpacTrace {
  std::vector<at::Tensor> x_train, x_test;
  std::vector<float> y_train;
  at::Tensor head;
  std::vector<float> predicted, truth;
  /// Every sample in order, head shapes first.
  std::function<void(const std::string& path, const CompletionSample& sample)> sample;
};

/// Measures `model` (null: the baseline alone) on `shapes` with a head fitted on `head_shapes`, whatever
/// config.cache_root, split and ckpt say. Resizes the model's positions.
absl::StatusOr<CpacResult> MeasureCpac(const CpacConfig& config, std::shared_ptr<const ShapeList> shapes,
                                       std::shared_ptr<const ShapeList> head_shapes, LoadedModel* model,
                                       CpacTrace* trace = nullptr);

/// The program's function. \error as ShapeList::Open and LoadModel, or of the first shape that fails.
absl::StatusOr<CpacResult> Cpac(const CpacConfig& config);

}  // namespace manyform

/// \file
/// Completion of a distance field from a few context points: a linear head on frozen states, fitted on one
/// split and measured on another.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "data/shape_list.h"
#include "eval/completion_head.h"
#include "eval/completion_sample.h"
#include "model/checkpoint.h"
#include "proto/eval.pb.h"

namespace manyform {

/// What tests look at on the way to a result. Asked for, it holds every row: small runs only.
struct CpacTrace {
  HeadRows rows;
  std::vector<at::Tensor> x_test;
  at::Tensor head;
  /// `predicted` in the transformed target's space.
  std::vector<float> predicted, truth;
  /// Every sample in order, head shapes first.
  std::function<void(const std::string& path, const CompletionSample& sample)> sample;
};

/// Measures `model` (null: the baseline alone) on `shapes` with a head fitted on `head_shapes` (unused where
/// the head's shapes are of the measured split), whatever config.cache_root, split and ckpt say. \error as
/// PlanCpac, or of the first shape that fails.
absl::StatusOr<CpacResult> MeasureCpac(const CpacConfig& config, std::shared_ptr<const ShapeList> shapes,
                                       std::shared_ptr<const ShapeList> head_shapes, const LoadedModel* model,
                                       CpacTrace* trace = nullptr);

/// The head's shapes by the name of their split; null where the name asks for none.
using OpenSplit = std::function<absl::StatusOr<std::shared_ptr<const ShapeList>>(const std::string& split)>;

/// Each as by its own MeasureCpac; the passes through the model that several have in common are made once.
/// \error of the first that fails, with its label.
absl::StatusOr<std::vector<CpacResult>> MeasureCpacs(std::span<const CpacConfig> configs,
                                                     std::shared_ptr<const ShapeList> shapes,
                                                     const OpenSplit& open_head, const LoadedModel* model);

}  // namespace manyform

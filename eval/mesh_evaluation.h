/// \file
/// Completed fields as surfaces: isosurfaces of the predicted and the true distance grid, sampled and
/// compared.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "eval/completion_run.h"
#include "geometry/types.h"
#include "proto/eval.pb.h"

namespace manyform {

struct MeshEvaluationOptions {
  int64_t most_shapes = 50;  ///< first ones of the run; 0: all
  int resolution = 24;       ///< side of the predicted grid, whose points are voxel centres
  double level = 0.03;
  int64_t samples = 10000;  ///< of each surface
  uint32_t seed = 0;        ///< of the predicted surface's samples; the true one's is the next
  std::vector<double> taus = {0.01};
  std::string save_dir;  ///< <class>/<id>/{predicted,truth}.ply go there; "": nowhere
};

/// Distances at `points` of a shape of the run that is told `context`.
using FieldPredictor =
    std::function<std::vector<float>(const CompletionSample& context, const PointsF& points)>;

/// The distance to the nearest context point: what there is without a model. The largest float where nothing
/// is told.
std::vector<float> DistanceToContext(const CompletionSample& context, const PointsF& points);

/// udf_grid at the voxel centres of a side-`resolution` grid over [-1,1]^3: itself where that is its own,
/// else trilinear.
std::vector<float> ResampleGrid(const DistanceGrid& grid, int resolution);

/// Each shape's own comparison, in the run's order; one without a surface says so (ok = false) and counts in
/// no mean. Predictions below 0 are 0. \error of the first shape that cannot be read, or mesh that cannot be
/// written.
absl::StatusOr<MeshEvaluation> EvaluateMeshes(const CompletionRun& run, const FieldPredictor& predict,
                                              const MeshEvaluationOptions& options);

}  // namespace manyform

/// \file
/// One completed shape as files to look at: points, volumes, surfaces, a picture.
#pragma once

#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "eval/completion_run.h"
#include "proto/reconstruct.pb.h"

namespace manyform {

/// The model and head that predict, and how they are asked.
struct FieldModel {
  const QueryTransformer* model;
  at::Tensor head;
  StateOptions options;
  int64_t chunk = 1;  ///< points asked in one sequence
};

/// Predicts the i-th shape of the run on the grid, in the grid's order chunk by chunk, and writes what
/// `config` asks for into `folder`: context_pc.ply, observed_pc.ply, {pred,gt}_udf.npy (f32, [x][y][z]),
/// {pred,gt,weak_naive,observed_naive}_mc.{obj,ply}, preview.png. The true field is the shape's udf_grid,
/// resampled at voxel centres where its side is another. A field without a surface has no mesh, and is left
/// blank in the picture. \error as SampleShape, LoadDistanceGrid and the writers.
absl::StatusOr<ReconstructedShape> ReconstructShape(const CompletionRun& run, int64_t i,
                                                    const FieldModel& model, const ReconstructConfig& config,
                                                    const std::string& folder);

}  // namespace manyform

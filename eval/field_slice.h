/// \file
/// A completed distance field to look at: the layer of voxels in the plane z = 0.
#pragma once

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "eval/completion_run.h"
#include "proto/eval.pb.h"

namespace manyform {

/// The layer iz = g/2 of udf_grid, what the head says of it and what copying the nearest context distance
/// says. The context is the shape's in `run`; the voxels are asked in chunks of n_query that are each spread
/// over the whole layer, since queries see those before them. Without a model `predicted` stays empty.
/// \error as SampleShape and LoadDistanceGrid.
absl::StatusOr<FieldSlice> CompleteSlice(const CompletionRun& run, int64_t shape,
                                         const QueryTransformer* model, const at::Tensor& head,
                                         const StateOptions& options);

}  // namespace manyform

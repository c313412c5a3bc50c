/// \file
/// The program that completes shapes to look at.
#pragma once

#include "absl/status/statusor.h"
#include "proto/reconstruct.pb.h"

namespace manyform {

/// A ridge head on voxels of head_train_split, then shapes shape_offset .. of the split, each in a folder
/// out_dir/<number>_<id>, and out_dir/summary.json with the published keys at its top.
/// \error InvalidArgument where the offset leaves no shape, or the positions no room for a query;
/// as ShapeList::Open and LoadModel, or of the first shape that fails.
absl::StatusOr<ReconstructResult> Reconstruct(const ReconstructConfig& config);

}  // namespace manyform

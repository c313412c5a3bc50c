/// \file
/// A folder of meshes becomes a shape cache.
#pragma once

#include "absl/status/statusor.h"
#include "proto/cache.pb.h"

namespace manyform {

/// BuildCollection (data/collection_builder.h) of the meshes of data/mesh_list.h; _splits/{train,test}.txt
/// list all of them, whatever `split` and `shard` are built.
///
/// A mesh that cannot be read or sampled is logged, listed in the manifest and the result, tried again by the
/// next run, and does not stop the others. \error BadConfig (base/config.h) for options that do not go
/// together: more or less than one root, a glob or ratios for ModelNet; NotFound without meshes; as
/// BuildCollection.
absl::StatusOr<BuildCacheResult> BuildCache(const BuildCacheConfig& config);

}  // namespace manyform

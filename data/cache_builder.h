/// \file
/// A folder of meshes becomes a shape cache.
#pragma once

#include "absl/status/statusor.h"
#include "proto/cache.pb.h"

namespace manyform {

/// Writes <out_root>/<split>/<class>/<id>.npz, _splits/{train,test}.txt and manifest.binpb. The files are the
/// same for any number of threads, and whether the build ran through or was killed and run again.
///
/// A mesh that cannot be read or sampled is logged, listed in the manifest and the result, tried again by the
/// next run, and does not stop the others. \error InvalidArgument if all fail; ResourceExhausted, with sizes,
/// if the disk has no room, before or while writing; Cancelled after an interrupt (the next run goes on);
/// FailedPrecondition if the cache is another's (see PlanBuild).
absl::StatusOr<BuildCacheResult> BuildCache(const BuildCacheConfig& config);

}  // namespace manyform

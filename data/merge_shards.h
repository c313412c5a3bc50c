/// \file
/// The shards of a cache become one cache.
#pragma once

#include "absl/status/statusor.h"
#include "proto/shard.pb.h"

namespace manyform {

/// Writes the manifest that a build of everything on one machine would have written, byte for byte, from the
/// parts that n shards have left in <cache_root>/_meta, and removes the parts and the shards' journals.
/// Shapes of splits that the shards were not asked to build stay as an earlier manifest has them.
///
/// \error NotFound if there are no parts; FailedPrecondition, and nothing is changed, if shards are missing
/// or running (by their numbers), were built with other options or from another list, or if files are gone or
/// have another size (by name); InvalidArgument if no shape of any shard could be built; DataLoss for damaged
/// parts.
absl::StatusOr<MergeShardsResult> MergeShards(const MergeShardsConfig& config);

}  // namespace manyform

/// \file
/// A list of shapes becomes a cache: what every collection program shares.
#pragma once

#include "absl/status/statusor.h"
#include "data/collection.h"

namespace manyform {

/// Writes <out_root>/<split>/<class>/<id>.npz and manifest.binpb, in parallel. The files are the same for any
/// number of threads, and whether the build ran through or was killed and run again: what is there and whole
/// is not built again.
///
/// A shard builds its share of the list and leaves _meta/<program>.shard_<i>_of_<n>.binpb, from which
/// MergeShards makes the manifest. Shards may run at the same time on several machines that see one folder. A
/// build of everything takes over what shards have left there, finished or not.
///
/// \error InvalidArgument for a malformed `shard` (as BadConfig, base/config.h), or if every shape fails
/// (never for a shard: the others may have better ones); ResourceExhausted, with sizes, if the disk has no
/// room, before or while writing; Cancelled after an interrupt (the next run goes on); FailedPrecondition if
/// the folder is another's (see PlanBuild) or being built by another process.
absl::StatusOr<CollectionOutcome> BuildCollection(const Collection& collection);

}  // namespace manyform

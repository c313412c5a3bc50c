/// \file
/// What a cache build has to do: which shapes, and which of them are there already.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/collection.h"
#include "data/shard.h"
#include "proto/manifest.pb.h"

namespace manyform {

/// What earlier builds say is in the folder.
struct BuildRecords {
  CacheManifest manifest;  ///< of a finished build; else empty
  /// Of shards that are finished, and of builds that are not, with the files they come from.
  struct Part {
    std::string path;
    CacheManifest content;
    bool finished = false;
  };
  std::vector<Part> parts;
};

struct BuildPlan {
  /// The shard's shapes in the list's order. Those that are finished have everything set, `layout` into
  /// `manifest`.
  std::vector<ShapeEntry> shapes;
  std::vector<bool> finished;
  /// Layouts of the finished shapes; and, as they were, the shapes and failures of splits that are not built
  /// now.
  CacheManifest manifest;
  /// Files of a cache that is rebuilt whose shapes are no longer wanted.
  std::vector<std::string> obsolete;

  int64_t num_finished() const;
};

/// The manifest, and what all builds have left in _meta, running shards too; later ones in the list win.
/// A damaged manifest is none, with a log line, if the collection is rebuilt.
absl::StatusOr<BuildRecords> ReadBuildRecords(const Collection& collection);

/// Compares what is wanted with what is there. A shape is finished if a record has it and its file has the
/// size that it says, and, for records of unfinished builds, the checksum.
/// \error FailedPrecondition if the cache was built with other options, from another list or by somebody
/// else, unless it is rebuilt.
absl::StatusOr<BuildPlan> PlanBuild(const Collection& collection, Shard shard, const BuildRecords& records);

/// Copies the shapes, with their layouts, and the failures of splits other than `splits`.
void KeepOtherSplits(const CacheManifest& manifest, const std::vector<std::string>& splits,
                     CacheManifest* kept);

}  // namespace manyform

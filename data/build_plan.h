/// \file
/// What a cache build has to do: which shapes with which seeds, and which of them are there already.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/mesh_list.h"
#include "proto/cache.pb.h"
#include "proto/manifest.pb.h"

namespace manyform {

struct BuildPlan {
  /// The shapes of the chosen split, by path of their mesh: split, class_name, id, source and seed are set.
  /// Those that are finished have everything set, `layout` into `manifest`.
  std::vector<ShapeEntry> shapes;
  std::vector<bool> finished;
  /// Layouts of the finished shapes; and, as they were, the shapes and failures of splits that are not built
  /// now.
  CacheManifest manifest;
  /// Files of a cache that is rebuilt whose shapes are no longer wanted.
  std::vector<std::string> obsolete;

  int64_t num_finished() const;
};

/// Shape i of the chosen split, counted within it, draws from config.seed + i.
/// \error InvalidArgument if a seed leaves 32 bits; NotFound if the split has no shapes.
absl::StatusOr<std::vector<ShapeEntry>> ListShapesToBuild(const std::vector<MeshSource>& meshes,
                                                          const BuildCacheConfig& config);

/// Compares what is wanted with what `manifest` (of a finished build, else empty) and `journal` (of an
/// unfinished one, else empty) say is there. A shape is finished if one of them has it, its file has the size
/// they say, and, for the journal's, the checksum.
/// \error FailedPrecondition if the cache was built with other options, from another list of meshes or by
/// somebody else, unless config.overwrite.
absl::StatusOr<BuildPlan> PlanBuild(std::vector<ShapeEntry> shapes, const BuildCacheConfig& config,
                                    const CacheManifest& manifest, const CacheManifest& journal);

}  // namespace manyform

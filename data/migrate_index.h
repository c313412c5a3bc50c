/// \file
/// Which shapes a migration is about, and the one that only makes their manifest.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/manifest.pb.h"
#include "proto/migrate.pb.h"

namespace manyform {

struct ChosenShapes {
  std::vector<ShapeEntry> shapes;  ///< names of those to look at, sorted
  std::vector<ShapeEntry> others;  ///< names of the rest of the cache's files
  std::set<std::string> splits;    ///< chosen; empty: all
};

/// The shapes of the config's splits, limit and shard, from the cache's folders.
/// \error NotFound without the root or without shapes; InvalidArgument for a split that is not there or a
/// shard that is none.
absl::StatusOr<ChosenShapes> ChooseShapes(const MigrateConfig& config);

/// Writes the root's manifest, with new entries for the chosen shapes (kept where neither size, arrays nor
/// time say that the file changed, unless `overwrite`), and without those whose files are gone. What an old
/// entry says of its source stays. A file that is no shape is listed as failed, in the manifest, too.
absl::StatusOr<MigrateResult> WriteIndex(const MigrateConfig& config, ChosenShapes chosen);

}  // namespace manyform

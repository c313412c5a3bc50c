/// \file
/// Shares of a collection that are built one by one, on as many machines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/shard.pb.h"

namespace manyform {

/// Shape k of the list belongs to the shard iff k % count == index. Everything is shard 0 of 0.
struct Shard {
  int index = 0, count = 0;
  bool is_everything() const { return count == 0; }
  bool Has(int64_t number) const { return count == 0 || number % count == index; }
};

/// "" is everything. \error BadConfig (base/config.h) unless "i/n" with 0 <= i < n <= 100000.
absl::StatusOr<Shard> ParseShard(const std::string& text);

/// <root>/_meta/<program>.journal; of a shard <root>/_meta/<program>.shard_<i>_of_<n>.journal.
std::string JournalPath(std::string_view root, std::string_view program, Shard shard);
/// <root>/_meta/<program>.shard_<i>_of_<n>.binpb.
std::string PartPath(std::string_view root, std::string_view program, Shard shard);

/// Files that builds have left in <root>/_meta: parts of shards and journals.
struct BuildFile {
  std::string path, program;
  Shard shard;
  bool is_part = false;
};
/// Sorted by path; nothing where there is no such folder.
absl::StatusOr<std::vector<BuildFile>> ListBuildFiles(const std::string& root);

/// \error as ReadFile; DataLoss, with the path, for what is no part or not the one its name says.
absl::StatusOr<ShardPart> ReadPart(const BuildFile& file);

/// Over names, sources and seeds in order: shards of one collection have it in common.
uint64_t ListChecksum(const std::vector<ShapeEntry>& shapes);

}  // namespace manyform

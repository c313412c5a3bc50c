#include "data/shard.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/config.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/manifest.h"

namespace manyform {
namespace {

constexpr absl::string_view kMark = ".shard_", kPartSuffix = ".binpb", kJournalSuffix = ".journal";
constexpr int kMaxShards = 100'000;

// "<i><separator><n>", both plain decimal.
bool ParseNumbers(absl::string_view text, absl::string_view separator, Shard* shard) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, separator);
  return parts.size() == 2 && absl::SimpleAtoi(parts[0], &shard->index) &&
         absl::SimpleAtoi(parts[1], &shard->count) &&
         absl::StrCat(shard->index, separator, shard->count) == text && 0 <= shard->index &&
         shard->index < shard->count && shard->count <= kMaxShards;
}

std::string MetaPath(std::string_view root, std::string_view program, Shard shard, absl::string_view suffix) {
  const std::string mark = shard.is_everything() ? "" : absl::StrCat(kMark, shard.index, "_of_", shard.count);
  return JoinPath(root, absl::StrCat("_meta/", ToAbsl(program), mark, suffix));
}

}  // namespace

absl::StatusOr<Shard> ParseShard(const std::string& text) {
  Shard shard;
  if (text.empty() || ParseNumbers(text, "/", &shard)) return shard;
  return BadConfigError(
      absl::StrCat("shard: \"", text, "\"; i/n with 0 <= i < n <= ", kMaxShards, " expected, such as 0/4"));
}

std::string JournalPath(std::string_view root, std::string_view program, Shard shard) {
  return MetaPath(root, program, shard, kJournalSuffix);
}

std::string PartPath(std::string_view root, std::string_view program, Shard shard) {
  return MetaPath(root, program, shard, kPartSuffix);
}

absl::StatusOr<std::vector<BuildFile>> ListBuildFiles(const std::string& root) {
  const std::string folder = JoinPath(root, "_meta");
  const absl::StatusOr<std::vector<std::string>> names = ListDirectory(folder);
  std::vector<BuildFile> files;
  if (absl::IsNotFound(names.status())) return files;
  MF_RETURN_IF_ERROR(names.status());
  for (const std::string& name : *names) {
    absl::string_view stem = name;
    BuildFile file{JoinPath(folder, name)};
    file.is_part = absl::ConsumeSuffix(&stem, kPartSuffix);
    if ((!file.is_part && !absl::ConsumeSuffix(&stem, kJournalSuffix)) || absl::StartsWith(stem, "."))
      continue;
    const size_t mark = stem.rfind(kMark);
    const bool of_shard = mark != absl::string_view::npos &&
                          ParseNumbers(stem.substr(mark + kMark.size()), "_of_", &file.shard);
    if (!of_shard) file.shard = {};
    if (file.is_part && !of_shard) continue;
    file.program = std::string(of_shard ? stem.substr(0, mark) : stem);
    files.push_back(std::move(file));
  }
  return files;
}

absl::StatusOr<ShardPart> ReadPart(const BuildFile& file) {
  MF_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(file.path));
  ShardPart part;
  if (!part.ParseFromString(bytes) || !part.has_list_checksum()) {
    return absl::DataLossError(absl::StrCat(file.path, ": not a part of a cache, or truncated"));
  }
  if (part.program() != file.program || part.shard() != file.shard.index ||
      part.shards() != file.shard.count) {
    return absl::DataLossError(absl::StrCat(file.path, ": is shard ", part.shard(), "/", part.shards(),
                                            " of ", part.program(), ", not what its name says"));
  }
  for (const ShapeEntry& shape : part.part().shapes()) {
    if (shape.layout() < 0 || shape.layout() >= part.part().layouts_size()) {
      return absl::DataLossError(absl::StrCat(file.path, ": shape ", ShapeKey(shape), " has no layout"));
    }
  }
  return part;
}

uint64_t ListChecksum(const std::vector<ShapeEntry>& shapes) {
  std::string text;
  for (const ShapeEntry& shape : shapes) {
    const std::string parts[] = {shape.split(), shape.class_name(), shape.id(), shape.source(),
                                 absl::StrCat(shape.seed())};
    for (const std::string& part : parts) absl::StrAppend(&text, part.size(), ":", part);
  }
  return Xxh3({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

}  // namespace manyform

#include "data/merge_shards.h"

#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "data/build_lock.h"
#include "data/build_options.h"
#include "data/build_plan.h"
#include "data/manifest.h"
#include "data/shard.h"

namespace manyform {
namespace {

constexpr size_t kMaxNamed = 10;

absl::Status Refuse(const std::string& root, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(root, " cannot be merged: ", why));
}

// The first few, and how many more there are.
std::string NameSome(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kMaxNamed);
  const std::string text = absl::StrJoin(names.begin(), names.begin() + static_cast<int64_t>(shown), ", ");
  return shown == names.size() ? text : absl::StrCat(text, " and ", names.size() - shown, " more");
}

// The parts of one division into shards, all of them.
absl::StatusOr<std::vector<BuildFile>> ChooseParts(const std::string& root,
                                                   const std::vector<BuildFile>& files) {
  std::set<std::string> programs;
  std::map<int, std::vector<BuildFile>> divisions;
  for (const BuildFile& file : files) {
    if (!file.is_part) continue;
    programs.insert(file.program);
    divisions[file.shard.count].push_back(file);
  }
  if (divisions.empty()) {
    return absl::NotFoundError(
        absl::StrCat(root, ": no parts of shards (_meta/<program>.shard_<i>_of_<n>.binpb)"));
  }
  if (programs.size() > 1) {
    return Refuse(root, absl::StrCat("it holds parts of several programs: ", absl::StrJoin(programs, ", ")));
  }
  std::string missing;
  for (const auto& [count, parts] : divisions) {
    if (static_cast<int>(parts.size()) == count) return parts;
    std::set<int> there;
    for (const BuildFile& part : parts) there.insert(part.shard.index);
    std::vector<std::string> absent;
    for (int i = 0; i < count; ++i) {
      if (!there.contains(i)) absent.push_back(absl::StrCat(i, "/", count));
    }
    absl::StrAppend(&missing, missing.empty() ? "" : "; ", parts.size(), " of ", count,
                    " shards are there, missing are ", NameSome(absent));
  }
  return Refuse(root, missing);
}

absl::StatusOr<std::vector<ShardPart>> ReadParts(const std::string& root,
                                                 const std::vector<BuildFile>& files) {
  std::vector<ShardPart> parts;
  parts.reserve(files.size());
  for (const BuildFile& file : files) {
    MF_ASSIGN_OR_RETURN(ShardPart part, ReadPart(file));
    parts.push_back(std::move(part));
    const ShardPart& first = parts.front();
    const ShardPart& last = parts.back();
    if (absl::Status same = CheckSameOptions(last.part(), first.part()); !same.ok()) {
      return Refuse(root, absl::StrCat(file.path, ": ", same.message(), " as ", files[0].path));
    }
    if (last.list_checksum() != first.list_checksum() || last.total_shapes() != first.total_shapes() ||
        absl::StrJoin(last.splits(), ",") != absl::StrJoin(first.splits(), ",")) {
      return Refuse(
          root, absl::StrCat(file.path, ": built from another list of sources (", last.total_shapes(),
                             " shapes of ", absl::StrJoin(last.splits(), ","), ") than ", files[0].path, " (",
                             first.total_shapes(), " of ", absl::StrJoin(first.splits(), ","), ")"));
    }
  }
  return parts;
}

// Every shape of the list once, in one part or among the failures.
absl::Status CheckComplete(const std::string& root, const std::vector<ShardPart>& parts) {
  absl::flat_hash_set<std::string> seen;
  const auto add = [&](const auto& shape) {
    const std::string key = absl::StrCat(shape.split(), "/", shape.class_name(), "/", shape.id());
    if (seen.insert(key).second) return absl::OkStatus();
    return Refuse(root, absl::StrCat(key, " is in several parts"));
  };
  for (const ShardPart& part : parts) {
    for (const ShapeEntry& shape : part.part().shapes()) MF_RETURN_IF_ERROR(add(shape));
    for (const FailedShape& shape : part.part().failed()) MF_RETURN_IF_ERROR(add(shape));
  }
  const int64_t total = parts.front().total_shapes();
  if (static_cast<int64_t>(seen.size()) == total) return absl::OkStatus();
  return Refuse(root, absl::StrCat("its parts have ", seen.size(), " of ", total, " shapes"));
}

absl::Status CheckFiles(const std::string& root, const CacheManifest& manifest, int num_threads) {
  std::vector<std::string> problems(manifest.shapes_size());
  MF_RETURN_IF_ERROR(ParallelFor(manifest.shapes_size(), num_threads, [&](int64_t i) {
    const ShapeEntry& shape = manifest.shapes(static_cast<int>(i));
    const std::string path = ShapePath(root, shape);
    struct stat info;
    if (stat(path.c_str(), &info) != 0) {
      problems[i] = absl::StrCat(path, " (missing)");
    } else if (static_cast<uint64_t>(info.st_size) != shape.file_size()) {
      problems[i] = absl::StrCat(path, " (", info.st_size, " bytes, not ", shape.file_size(), ")");
    }
    return absl::OkStatus();
  }));
  std::erase(problems, "");
  if (problems.empty()) return absl::OkStatus();
  return Refuse(root, absl::StrCat("the files of ", problems.size(),
                                   " shapes are not those that were built: ", NameSome(problems)));
}

absl::StatusOr<CacheManifest> Merge(const std::string& root, const std::vector<ShardPart>& parts) {
  CacheManifest merged;
  const ShardPart& first = parts.front();
  absl::StatusOr<CacheManifest> earlier = ReadManifest(root);
  if (earlier.ok()) {
    KeepOtherSplits(*earlier, {first.splits().begin(), first.splits().end()}, &merged);
    const absl::Status same = CheckSameOptions(*earlier, first.part());
    if (merged.shapes_size() > 0 && !same.ok()) {
      return Refuse(
          root, absl::StrCat("its manifest has ", merged.shapes(0).split(), " shapes, and ", same.message()));
    }
  } else if (!absl::IsNotFound(earlier.status())) {
    return earlier.status();
  }
  merged.set_build_config(first.part().build_config());
  merged.set_build_fingerprint(first.part().build_fingerprint());
  int64_t built = 0;
  for (const ShardPart& part : parts) {
    for (const ShapeEntry& shape : part.part().shapes()) {
      ShapeEntry* entry = merged.add_shapes();
      *entry = shape;
      SetLayout(&merged, entry, part.part().layouts(shape.layout()));
      ++built;
    }
    for (const FailedShape& failed : part.part().failed()) *merged.add_failed() = failed;
  }
  if (built > 0 || merged.failed_size() == 0) return merged;
  return absl::InvalidArgumentError(absl::StrFormat("none of %d shapes could be built; the first: %s",
                                                    merged.failed_size(), merged.failed(0).reason()));
}

}  // namespace

absl::StatusOr<MergeShardsResult> MergeShards(const MergeShardsConfig& config) {
  const std::string& root = config.cache_root();
  if (!FileExists(root)) return absl::NotFoundError(absl::StrCat("cache_root ", root, " does not exist"));
  MF_ASSIGN_OR_RETURN(const std::unique_ptr<BuildLock> lock, BuildLock::Take(root, BuildLock::kAlone));
  MF_ASSIGN_OR_RETURN(const std::vector<BuildFile> files, ListBuildFiles(root));
  MF_ASSIGN_OR_RETURN(const std::vector<BuildFile> chosen, ChooseParts(root, files));
  MF_ASSIGN_OR_RETURN(const std::vector<ShardPart> parts, ReadParts(root, chosen));
  MF_RETURN_IF_ERROR(CheckComplete(root, parts));
  MF_ASSIGN_OR_RETURN(CacheManifest manifest, Merge(root, parts));
  MF_RETURN_IF_ERROR(CheckFiles(root, manifest, config.num_threads()));

  MergeShardsResult result;
  result.set_shards(static_cast<int32_t>(parts.size()));
  result.set_shapes(manifest.shapes_size());
  *result.mutable_failed() = manifest.failed();
  uint64_t bytes = 0;
  for (const ShapeEntry& shape : manifest.shapes()) bytes += shape.file_size();
  result.set_cache_bytes(static_cast<int64_t>(bytes));
  result.set_manifest(JoinPath(root, kManifestName));
  NoteInput(result.manifest(), manifest.build_fingerprint());
  MF_RETURN_IF_ERROR(WriteManifest(root, std::move(manifest)));
  for (const BuildFile& file : files) {
    if (file.program == chosen[0].program && !file.shard.is_everything()) unlink(file.path.c_str());
  }
  LogLine(absl::StrFormat("%s: %d shapes of %d shards, %d failed; %s", result.manifest(), result.shapes(),
                          result.shards(), result.failed_size(), HumanBytes(bytes)));
  return result;
}

}  // namespace manyform

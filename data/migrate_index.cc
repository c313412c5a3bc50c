#include "data/migrate_index.h"

#include <algorithm>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/config.h"
#include "base/files.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "data/build_lock.h"
#include "data/manifest.h"
#include "data/manifest_update.h"
#include "data/shard.h"
#include "data/simulated_mark.h"

namespace manyform {
namespace {

std::string Key(const ShapeEntry& e) { return absl::StrCat(e.split(), "/", ShapeKey(e)); }

// Which of the splits there are; those that are given must be there, of the default ones only some.
absl::StatusOr<std::set<std::string>> ChooseSplits(const MigrateConfig& config,
                                                   const std::set<std::string>& there) {
  const bool orders = config.what() == "pt_fps_order" || config.what() == "pc_fps_order";
  std::set<std::string> chosen;
  if (config.splits().empty() && orders) {
    for (const char* split : {"train", "test"}) {
      if (there.contains(split)) chosen.insert(split);
    }
    if (!chosen.empty()) return chosen;
    return BadConfigError(absl::StrCat("splits: ", config.cache_root(), " has no train or test; it has ",
                                       absl::StrJoin(there, ", "), "; splits=all takes them all"));
  }
  if (config.splits().empty()) return there;
  for (const std::string& split : config.splits()) {
    if (split == "all" && !there.contains(split)) return there;
    if (!there.contains(split)) {
      return BadConfigError(absl::StrCat("splits: ", config.cache_root(), " has no split \"", split,
                                         "\"; it has ", absl::StrJoin(there, ", ")));
    }
    chosen.insert(split);
  }
  return chosen;
}

// One shape's part of the index.
struct Indexed {
  ShapeEntry entry;
  FileStamp stamp;
  std::string failure;
  bool kept = false;
};

class Index {
 public:
  Index(const MigrateConfig& config, ChosenShapes chosen) : config_(config), chosen_(std::move(chosen)) {}

  absl::StatusOr<MigrateResult> Run() {
    MF_ASSIGN_OR_RETURN(const std::unique_ptr<BuildLock> lock,
                        BuildLock::Take(config_.cache_root(), BuildLock::kShared));
    const std::string path = JoinPath(config_.cache_root(), kManifestName);
    const int64_t written = StampOf(path).modified_ns;
    MF_ASSIGN_OR_RETURN(const CacheManifest old, ReadOld());
    absl::flat_hash_map<std::string, const ShapeEntry*> entries;
    for (const ShapeEntry& entry : old.shapes()) entries[Key(entry)] = &entry;
    std::vector<Indexed> indexed(chosen_.shapes.size());
    MF_RETURN_IF_ERROR(IndexAll(old, entries, written, &indexed));
    MF_RETURN_IF_ERROR(Write(&indexed));
    return Result(path, indexed);
  }

 private:
  // Nothing where there is none, or where it is damaged: then it is replaced.
  absl::StatusOr<CacheManifest> ReadOld() const {
    absl::StatusOr<CacheManifest> old = ReadManifest(config_.cache_root());
    if (absl::IsNotFound(old.status())) return CacheManifest();
    if (!absl::IsDataLoss(old.status())) return old;
    LogLine(absl::StrCat(old.status().message(), "; replaced"));
    return CacheManifest();
  }

  absl::Status IndexAll(const CacheManifest& old,
                        const absl::flat_hash_map<std::string, const ShapeEntry*>& entries, int64_t written,
                        std::vector<Indexed>* indexed) {
    const int64_t n = static_cast<int64_t>(chosen_.shapes.size());
    std::vector<std::string> old_layouts;
    for (const ArrayLayout& layout : old.layouts()) old_layouts.push_back(layout.SerializeAsString());
    Progress progress("migrate manifest", "shapes", n);
    return ParallelFor(n, config_.num_threads(), [&](int64_t i) {
      Indexed& one = (*indexed)[i];
      one.entry = chosen_.shapes[i];
      const std::string path = ShapePath(config_.cache_root(), one.entry);
      const auto known = entries.find(Key(one.entry));
      if (known != entries.end()) one.entry = *known->second;
      if (simulated_) MarkSimulated(&one.entry);
      one.stamp = StampOf(path);
      ArrayLayout layout;
      absl::Status status = DescribeShapeFile(path, /*checksum=*/false, &one.entry, &layout);
      one.kept = status.ok() && !config_.overwrite() && known != entries.end() &&
                 one.stamp.modified_ns < written && known->second->file_size() == one.entry.file_size() &&
                 (known->second->has_checksum() || !config_.checksums()) &&
                 old_layouts[known->second->layout()] == layout.SerializeAsString();
      if (one.kept) {
        if (known->second->has_checksum()) one.entry.set_checksum(known->second->checksum());
      } else if (status.ok() && config_.checksums()) {
        status = DescribeShapeFile(path, /*checksum=*/true, &one.entry, &layout);
      }
      if (absl::IsResourceExhausted(status)) return status;
      if (!status.ok()) {
        one.failure = std::string(status.message());
        LogLine(absl::StrCat("failed: ", one.failure));
      }
      one.entry.set_layout(layouts_.Number(layout));
      progress.Add(1, one.kept);
      return absl::OkStatus();
    });
  }

  static FailedShape Failure(const Indexed& one) {
    FailedShape failed;
    failed.set_split(one.entry.split());
    failed.set_class_name(one.entry.class_name());
    failed.set_id(one.entry.id());
    failed.set_source(one.entry.source());
    failed.set_reason(one.failure);
    return failed;
  }

  // A migration may have changed the file since, and noted so in the manifest that is about to be replaced.
  void LookAgain(Indexed* one) {
    const std::string path = ShapePath(config_.cache_root(), one->entry);
    if (!one->failure.empty() || StampOf(path) == one->stamp) return;
    ArrayLayout layout;
    const absl::Status status = DescribeNow(path, config_.checksums(), &one->entry, &layout).status();
    if (!status.ok()) one->failure = std::string(status.message());
    one->entry.set_layout(layouts_.Number(layout));
    one->kept = false;
  }

  // Into the manifest as it is by now: other shards may have written it.
  absl::Status Write(std::vector<Indexed>* shapes) {
    MF_ASSIGN_OR_RETURN(const std::unique_ptr<ManifestLock> lock, ManifestLock::Take(config_.cache_root()));
    for (Indexed& one : *shapes) LookAgain(&one);
    const std::vector<Indexed>& indexed = *shapes;
    MF_ASSIGN_OR_RETURN(CacheManifest now, ReadOld());
    absl::flat_hash_set<std::string> own, there;
    for (const Indexed& one : indexed) own.insert(Key(one.entry));
    for (const ShapeEntry& other : chosen_.others) there.insert(Key(other));
    CacheManifest manifest;
    if (now.has_build_config()) manifest.set_build_config(now.build_config());
    if (now.has_build_fingerprint()) manifest.set_build_fingerprint(now.build_fingerprint());
    *manifest.mutable_layouts() = now.layouts();
    for (ShapeEntry& entry : *now.mutable_shapes()) {
      const std::string key = Key(entry);
      const bool gone =
          (chosen_.splits.empty() || chosen_.splits.contains(entry.split())) && !there.contains(key);
      if (!own.contains(key) && !gone) *manifest.add_shapes() = std::move(entry);
    }
    for (FailedShape& failed : *now.mutable_failed()) {
      const std::string key = absl::StrCat(failed.split(), "/", failed.class_name(), "/", failed.id());
      if (!own.contains(key)) *manifest.add_failed() = std::move(failed);
    }
    const int first = manifest.layouts_size();
    for (const ArrayLayout& layout : layouts_.layouts()) *manifest.add_layouts() = layout;
    for (const Indexed& one : indexed) {
      if (one.failure.empty()) {
        ShapeEntry* entry = manifest.add_shapes();
        *entry = one.entry;
        entry->set_layout(first + one.entry.layout());
      } else {
        *manifest.add_failed() = Failure(one);
      }
    }
    return WriteManifest(config_.cache_root(), std::move(manifest));
  }

  static MigrateResult Result(const std::string& path, const std::vector<Indexed>& indexed) {
    MigrateResult result;
    int64_t kept = 0;
    for (const Indexed& one : indexed) {
      kept += one.kept;
      if (!one.failure.empty()) *result.add_failed() = Failure(one);
    }
    const int64_t n = static_cast<int64_t>(indexed.size());
    result.set_skip(kept);
    result.set_fail(result.failed_size());
    result.set_ok(n - kept - result.fail());
    result.set_total(n);
    MigratedManifest* manifest = result.add_manifests();
    manifest->set_path(path);
    manifest->set_updated(result.ok());
    manifest->set_unknown(0);
    LogLine(absl::StrFormat("%s: ok=%d skip=%d fail=%d total=%d", path, result.ok(), result.skip(),
                            result.fail(), result.total()));
    return result;
  }

  const MigrateConfig& config_;
  const ChosenShapes chosen_;
  const bool simulated_ = HasSimulatedMark(config_.cache_root());
  LayoutTable layouts_;
};

}  // namespace

absl::StatusOr<ChosenShapes> ChooseShapes(const MigrateConfig& config) {
  MF_ASSIGN_OR_RETURN(const Shard shard, ParseShard(config.shard()));
  MF_ASSIGN_OR_RETURN(std::vector<ShapeEntry> all, ListCacheFiles(config.cache_root()));
  std::set<std::string> splits;
  for (const ShapeEntry& shape : all) splits.insert(shape.split());
  if (all.empty()) {
    return absl::NotFoundError(absl::StrCat(config.cache_root(), ": no shapes (<split>/<class>/<id>.npz)"));
  }
  MF_ASSIGN_OR_RETURN(const std::set<std::string> chosen, ChooseSplits(config, splits));
  ChosenShapes shapes;
  if (chosen != splits) shapes.splits = chosen;
  int64_t number = 0;
  for (ShapeEntry& shape : all) {
    const bool wanted = chosen.contains(shape.split()) && (config.limit() == 0 || number < config.limit());
    const bool own = wanted && shard.Has(number);
    number += chosen.contains(shape.split());
    (own ? shapes.shapes : shapes.others).push_back(std::move(shape));
  }
  return shapes;
}

absl::StatusOr<MigrateResult> WriteIndex(const MigrateConfig& config, ChosenShapes chosen) {
  return Index(config, std::move(chosen)).Run();
}

}  // namespace manyform

#include "data/collection_builder.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "data/build_lock.h"
#include "data/build_options.h"
#include "data/build_plan.h"
#include "data/cache_journal.h"
#include "data/manifest.h"
#include "data/npz.h"
#include "data/shard.h"

namespace manyform {
namespace {

// A failure of the machine rather than of one shape: it ends the build.
bool EndsTheBuild(const absl::Status& status) {
  return absl::IsResourceExhausted(status) || absl::IsCancelled(status);
}

// Temporary files of these shapes, which only this build makes: from whichever host they come.
absl::Status RemoveTemporariesOf(const std::vector<ShapeEntry>& shapes, const std::string& root) {
  std::map<std::string, absl::flat_hash_set<std::string>> folders;
  for (const ShapeEntry& shape : shapes) {
    const std::string path = ShapePath(root, shape);
    folders[path.substr(0, path.rfind('/'))].insert(path);
  }
  for (const auto& [folder, paths] : folders) {
    const absl::StatusOr<std::vector<std::string>> names = ListDirectory(folder);
    if (absl::IsNotFound(names.status())) continue;
    MF_RETURN_IF_ERROR(names.status());
    for (const std::string& name : *names) {
      const size_t mark = name.rfind(".tmp.");
      if (name[0] != '.' || mark == std::string::npos || mark == 0) continue;
      // AtomicFileWriter cuts longer names; theirs are left.
      if (!paths.contains(JoinPath(folder, name.substr(1, mark - 1)))) continue;
      unlink(JoinPath(folder, name).c_str());
    }
  }
  return absl::OkStatus();
}

class Builder {
 public:
  Builder(const Collection& collection, Shard shard, BuildPlan plan, std::unique_ptr<CacheJournal> journal)
      : collection_(collection),
        shard_(shard),
        plan_(std::move(plan)),
        journal_(std::move(journal)),
        failures_(plan_.shapes.size()) {}

  absl::StatusOr<CollectionOutcome> Run() {
    MF_RETURN_IF_ERROR(CheckSpace());
    MF_RETURN_IF_ERROR(Prepare());
    MF_RETURN_IF_ERROR(BuildAll());
    return Finish();
  }

 private:
  int64_t num_shapes() const { return static_cast<int64_t>(plan_.shapes.size()); }
  const std::string& root() const { return collection_.out_root; }

  absl::Status CheckSpace() const {
    MF_ASSIGN_OR_RETURN(const uint64_t free, FreeDiskBytes(root()));
    const int64_t finished = plan_.num_finished(), to_build = num_shapes() - finished;
    const uint64_t needed = static_cast<uint64_t>(to_build) * collection_.bytes_per_shape;
    std::set<std::string> classes;
    for (const ShapeEntry& shape : plan_.shapes) classes.insert(shape.class_name());
    const std::string part =
        shard_.is_everything() ? "" : absl::StrFormat("shard %d/%d, ", shard_.index, shard_.count);
    const bool compress = collection_.compress, larger = collection_.may_be_larger;
    const char* bound = compress && larger ? "about " : compress ? "at most " : larger ? "at least " : "";
    LogLine(absl::StrFormat(
        "%s: %s%d shapes of %d classes, %d already there; %d to build take %s%s, %s are free", root(), part,
        num_shapes(), classes.size(), finished, to_build, bound, HumanBytes(needed), HumanBytes(free)));
    const uint64_t each = compress ? collection_.least_bytes_per_shape : collection_.bytes_per_shape;
    const uint64_t least = static_cast<uint64_t>(to_build) * each;
    if (least <= free) return absl::OkStatus();
    return absl::ResourceExhaustedError(
        absl::StrFormat("%s: %d shapes of %s%d bytes need %d bytes, but only %d are free", root(), to_build,
                        compress || larger ? "at least " : "", each, least, free));
  }

  // Brings the folder into a state from which a killed run can go on.
  absl::Status Prepare() {
    MF_RETURN_IF_ERROR(RemoveTemporaries());
    CacheManifest header;
    SetBuildOptions(collection_, &header);
    if (collection_.overwrite) {
      // What vouches for files that are about to be replaced has to go first.
      MF_RETURN_IF_ERROR(journal_->Start(header));
      MF_RETURN_IF_ERROR(RemoveOldRecords());
      for (const std::string& path : plan_.obsolete) {
        LogLine(absl::StrCat(path, ": removed, its source is no longer in the list"));
        unlink(path.c_str());
      }
    } else if (journal_->empty()) {
      MF_RETURN_IF_ERROR(journal_->Start(header));
    }
    // Shards run at once; one of them is enough.
    if (shard_.index != 0) return absl::OkStatus();
    for (const auto& [name, content] : collection_.notes) {
      MF_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(root(), name), content));
    }
    return absl::OkStatus();
  }

  absl::Status RemoveTemporaries() const {
    if (!shard_.is_everything()) return RemoveTemporariesOf(plan_.shapes, root());
    std::set<std::string> folders = {root()};
    for (const auto& [name, content] : collection_.notes) {
      const std::string path = JoinPath(root(), name);
      folders.insert(path.substr(0, path.rfind('/')));
    }
    for (const ShapeEntry& shape : plan_.shapes) {
      folders.insert(absl::StrCat(root(), "/", shape.split(), "/", shape.class_name()));
    }
    for (const std::string& folder : folders) MF_RETURN_IF_ERROR(RemoveStaleTemporaries(folder));
    return absl::OkStatus();
  }

  // The manifest but for other splits, this shard's part, and what builds divided otherwise have left. The
  // other shards of this division remove their own.
  absl::Status RemoveOldRecords() const {
    if (plan_.manifest.shapes_size() > 0) {
      MF_RETURN_IF_ERROR(WriteManifest(root(), WithOptions(plan_.manifest)));
    } else {
      unlink(JoinPath(root(), kManifestName).c_str());
    }
    MF_ASSIGN_OR_RETURN(const std::vector<BuildFile> files, ListBuildFiles(root()));
    const std::string own_journal = JournalPath(root(), collection_.program, shard_);
    for (const BuildFile& file : files) {
      const bool of_another = file.shard.count == shard_.count && file.shard.index != shard_.index;
      if (file.program == collection_.program && !of_another && file.path != own_journal) {
        unlink(file.path.c_str());
      }
    }
    return absl::OkStatus();
  }

  CacheManifest WithOptions(CacheManifest manifest) const {
    SetBuildOptions(collection_, &manifest);
    return manifest;
  }

  absl::Status BuildAll() {
    const auto start = std::chrono::steady_clock::now();
    {
      Progress progress(collection_.program, "shapes", num_shapes());
      progress.Add(plan_.num_finished(), /*skipped=*/true);
      MF_RETURN_IF_ERROR(ParallelFor(num_shapes(), collection_.num_threads, [&](int64_t i) {
        if (plan_.finished[i]) return absl::OkStatus();
        MF_RETURN_IF_ERROR(BuildOne(i));
        progress.Add();
        return absl::OkStatus();
      }));
    }
    seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return absl::OkStatus();
  }

  absl::Status BuildOne(int64_t i) {
    ShapeEntry& shape = plan_.shapes[i];
    const std::string path = ShapePath(root(), shape);
    absl::StatusOr<std::string> bytes = EncodeShape(&shape);
    if (!bytes.ok() && EndsTheBuild(bytes.status())) return bytes.status();
    if (!bytes.ok()) {
      failures_[i] = std::string(bytes.status().message());
      LogLine(absl::StrCat("failed: ", shape.split(), "/", ShapeKey(shape), ": ", failures_[i]));
      unlink(path.c_str());
      return absl::OkStatus();
    }
    MF_RETURN_IF_ERROR(WriteFileAtomically(path, *bytes));
    shape.set_file_size(bytes->size());
    shape.set_checksum(Xxh3({reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size()}));
    MF_ASSIGN_OR_RETURN(const NpzReader npz, NpzReader::Open(path));
    const ArrayLayout layout = LayoutOf(npz);
    {
      const std::lock_guard lock(mutex_);
      SetLayout(&plan_.manifest, &shape, layout);
    }
    return journal_->Append(shape, layout);
  }

  absl::StatusOr<std::string> EncodeShape(ShapeEntry* shape) const {
    MF_ASSIGN_OR_RETURN(const std::vector<NamedArray> arrays, collection_.make(shape));
    return EncodeNpz(arrays, {.compress = collection_.compress});
  }

  FailedShape Failure(int64_t i) const {
    const ShapeEntry& shape = plan_.shapes[i];
    FailedShape failed;
    failed.set_split(shape.split());
    failed.set_class_name(shape.class_name());
    failed.set_id(shape.id());
    failed.set_source(shape.source());
    failed.set_reason(failures_[i]);
    return failed;
  }

  absl::StatusOr<CollectionOutcome> Finish() {
    CollectionOutcome outcome;
    CacheManifest manifest = WithOptions(std::move(plan_.manifest));
    for (int64_t i = 0; i < num_shapes(); ++i) {
      if (failures_[i].empty()) {
        *manifest.add_shapes() = plan_.shapes[i];
      } else {
        outcome.failed.push_back(Failure(i));
        *manifest.add_failed() = outcome.failed.back();
      }
    }
    const int64_t num_failed = static_cast<int64_t>(outcome.failed.size());
    if (shard_.is_everything() && num_failed == num_shapes()) {
      MF_RETURN_IF_ERROR(journal_->Finish());
      return absl::InvalidArgumentError(absl::StrFormat("none of %d shapes could be built; the first: %s",
                                                        num_shapes(), outcome.failed[0].reason()));
    }
    outcome.skipped = plan_.num_finished();
    outcome.built = num_shapes() - outcome.skipped - num_failed;
    if (seconds_ > 0) outcome.shapes_per_second = static_cast<double>(outcome.built) / seconds_;
    MF_RETURN_IF_ERROR(shard_.is_everything() ? WriteWhole(std::move(manifest), &outcome)
                                              : WritePart(manifest, &outcome));
    MF_RETURN_IF_ERROR(journal_->Finish());
    LogLine(absl::StrFormat("%s: %d built, %d already there, %d failed; %s", outcome.manifest, outcome.built,
                            outcome.skipped, num_failed,
                            HumanBytes(static_cast<uint64_t>(outcome.cache_bytes))));
    return outcome;
  }

  static int64_t BytesOf(const CacheManifest& manifest) {
    uint64_t bytes = 0;
    for (const ShapeEntry& shape : manifest.shapes()) bytes += shape.file_size();
    return static_cast<int64_t>(bytes);
  }

  absl::Status WriteWhole(CacheManifest manifest, CollectionOutcome* outcome) const {
    outcome->cache_bytes = BytesOf(manifest);
    outcome->manifest = JoinPath(root(), kManifestName);
    MF_RETURN_IF_ERROR(WriteManifest(root(), std::move(manifest)));
    // What shards had left is in it.
    MF_ASSIGN_OR_RETURN(const std::vector<BuildFile> files, ListBuildFiles(root()));
    for (const BuildFile& file : files) {
      if (file.program == collection_.program && !file.shard.is_everything()) unlink(file.path.c_str());
    }
    return absl::OkStatus();
  }

  absl::Status WritePart(const CacheManifest& manifest, CollectionOutcome* outcome) const {
    ShardPart part;
    part.set_program(collection_.program);
    part.set_shard(shard_.index);
    part.set_shards(shard_.count);
    for (const std::string& split : collection_.splits) part.add_splits(split);
    part.set_total_shapes(static_cast<int64_t>(collection_.shapes.size()));
    part.set_list_checksum(ListChecksum(collection_.shapes));
    // Other splits stay with the manifest that has them.
    CacheManifest& own = *part.mutable_part();
    SetBuildOptions(collection_, &own);
    for (const ShapeEntry& shape : manifest.shapes()) {
      if (!IsBuilt(shape.split())) continue;
      ShapeEntry* entry = own.add_shapes();
      *entry = shape;
      SetLayout(&own, entry, manifest.layouts(shape.layout()));
    }
    for (const FailedShape& failed : manifest.failed()) {
      if (IsBuilt(failed.split())) *own.add_failed() = failed;
    }
    outcome->cache_bytes = BytesOf(own);
    outcome->manifest = PartPath(root(), collection_.program, shard_);
    return WriteFileAtomically(outcome->manifest, part.SerializeAsString());
  }

  bool IsBuilt(const std::string& split) const {
    return std::find(collection_.splits.begin(), collection_.splits.end(), split) != collection_.splits.end();
  }

  const Collection& collection_;
  const Shard shard_;
  BuildPlan plan_;
  const std::unique_ptr<CacheJournal> journal_;
  std::vector<std::string> failures_;  // a shape; empty if it succeeded
  std::mutex mutex_;                   // of plan_.manifest's layouts
  double seconds_ = 0;
};

// Parts of shards are not looked for by everyone: what is made of them is said.
void SayWhatIsTakenOver(const BuildRecords& records, Shard shard, const Collection& collection) {
  if (!shard.is_everything() || collection.overwrite) return;
  int64_t shapes = 0, parts = 0;
  const std::string own = JournalPath(collection.out_root, collection.program, shard);
  for (const BuildRecords::Part& part : records.parts) {
    if (part.path == own) continue;
    ++parts;
    shapes += part.content.shapes_size();
  }
  if (parts == 0) return;
  LogLine(absl::StrFormat("%s: goes on from %d shapes that shards have built (%d files in _meta)",
                          collection.out_root, shapes, parts));
}

}  // namespace

absl::StatusOr<CollectionOutcome> BuildCollection(const Collection& collection) {
  MF_ASSIGN_OR_RETURN(const Shard shard, ParseShard(collection.shard));
  // Destroyed after the journal, whose file shares its folder.
  MF_ASSIGN_OR_RETURN(
      const std::unique_ptr<BuildLock> lock,
      BuildLock::Take(collection.out_root, shard.is_everything() ? BuildLock::kAlone : BuildLock::kShared));
  MF_ASSIGN_OR_RETURN(std::unique_ptr<CacheJournal> journal,
                      CacheJournal::Open(JournalPath(collection.out_root, collection.program, shard)));
  MF_ASSIGN_OR_RETURN(const BuildRecords records, ReadBuildRecords(collection));
  MF_ASSIGN_OR_RETURN(BuildPlan plan, PlanBuild(collection, shard, records));
  SayWhatIsTakenOver(records, shard, collection);
  return Builder(collection, shard, std::move(plan), std::move(journal)).Run();
}

}  // namespace manyform

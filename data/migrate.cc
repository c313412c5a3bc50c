#include "data/migrate.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/result_writer.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "base/thread_pool.h"
#include "data/build_lock.h"
#include "data/cache_files.h"
#include "data/manifest.h"
#include "data/manifest_update.h"
#include "data/migrate_index.h"
#include "data/migration.h"
#include "data/npz.h"
#include "data/place_file.h"

namespace manyform {
namespace {

// A failure of the machine rather than of one file: it ends the run.
bool EndsTheRun(const absl::Status& status) {
  return absl::IsResourceExhausted(status) || absl::IsCancelled(status);
}

// Keeps another migration from taking the file's old content as the base of its own change. The lock is of
// the inode: whoever waited for one that has lost its name asks for the new one.
class FileLock {
 public:
  explicit FileLock(const std::string& path) {
    for (int tries = 0; tries < 100; ++tries) {
      fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
      struct stat locked, named;
      // A file system without locks has none to wait for.
      if (fd_ < 0 || flock(fd_, LOCK_EX) != 0 || fstat(fd_, &locked) != 0 ||
          stat(path.c_str(), &named) != 0 ||
          (locked.st_dev == named.st_dev && locked.st_ino == named.st_ino)) {
        return;
      }
      close(fd_);
    }
    fd_ = -1;
  }
  ~FileLock() {
    if (fd_ >= 0) close(fd_);
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_ = -1;
};

enum class Outcome { kNone, kOk, kSkip, kFail };

class Migration {
 public:
  Migration(const MigrateConfig& config, std::vector<ShapeEntry> shapes)
      : config_(config),
        shapes_(std::move(shapes)),
        files_(FindCacheFiles(config.cache_root(), shapes_)),
        outcomes_(files_.files.size(), Outcome::kNone),
        reasons_(files_.files.size()) {}

  absl::StatusOr<MigrateResult> Run() {
    MF_RETURN_IF_ERROR(OpenManifests());
    MF_RETURN_IF_ERROR(Prepare());
    const auto start = std::chrono::steady_clock::now();
    const absl::Status done = MigrateAll();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    MigrateResult result = Count();
    if (seconds > 0) result.set_shapes_per_second(static_cast<double>(result.ok()) / seconds);
    // Also for an interrupted run: what is done is done.
    MF_RETURN_IF_ERROR(UpdateManifests(&result));
    MF_RETURN_IF_ERROR(done);
    Report(result);
    return result;
  }

 private:
  absl::Status OpenManifests() {
    std::set<std::string> roots;
    for (const CacheFile& file : files_.files) {
      for (const CacheName& name : file.names) roots.insert(name.root);
    }
    roots.insert(config_.cache_root());
    for (const std::string& root : roots) {
      absl::StatusOr<std::unique_ptr<ManifestUpdate>> update = ManifestUpdate::Open(root);
      if (update.ok()) {
        MF_ASSIGN_OR_RETURN(locks_.emplace_back(), BuildLock::Take(root, BuildLock::kShared));
        manifests_[root] = *std::move(update);
        continue;
      }
      if (!absl::IsNotFound(update.status())) return update.status();
      if (root != config_.cache_root()) continue;
      LogLine(
          absl::StrCat(root, " has no ", ToAbsl(kManifestName), ", and gets none; what=manifest makes one"));
    }
    return absl::OkStatus();
  }

  // Temporary files of killed runs go; other shards of this one may have theirs there.
  absl::Status Prepare() const {
    if (!config_.shard().empty()) return absl::OkStatus();
    std::set<std::string> folders;
    for (const CacheFile& file : files_.files) {
      for (const std::string& path : file.hard_links) folders.insert(path.substr(0, path.rfind('/')));
    }
    for (const std::string& folder : folders) MF_RETURN_IF_ERROR(RemoveStaleTemporaries(folder));
    return absl::OkStatus();
  }

  absl::Status MigrateAll() {
    Progress progress(absl::StrCat("migrate ", config_.what()), "files",
                      static_cast<int64_t>(files_.files.size()));
    return ParallelFor(static_cast<int64_t>(files_.files.size()), config_.num_threads(), [&](int64_t i) {
      absl::StatusOr<Outcome> outcome = MigrateFile(files_.files[i]);
      if (!outcome.ok() && EndsTheRun(outcome.status())) return outcome.status();
      if (!outcome.ok()) {
        reasons_[i] = std::string(outcome.status().message());
        LogLine(absl::StrCat("failed: ", reasons_[i]));
      }
      outcomes_[i] = outcome.ok() ? *outcome : Outcome::kFail;
      progress.Add(1, outcomes_[i] == Outcome::kSkip);
      return absl::OkStatus();
    });
  }

  absl::StatusOr<Outcome> MigrateFile(const CacheFile& file) {
    const FileLock lock(file.path);
    struct stat info;
    if (stat(file.path.c_str(), &info) != 0) return absl::ErrnoToStatus(errno, file.path);
    const FileStamp stamp = StampOf(file.path);
    MF_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> mapped, MappedFile::Open(file.path));
    MF_ASSIGN_OR_RETURN(const NpzReader npz, NpzReader::FromFile(file.path, mapped));
    MF_ASSIGN_OR_RETURN(const std::optional<std::string> bytes,
                        MigratedBytes(config_, npz, mapped->bytes(), file.path));
    if (!bytes) {
      if (MayBeStale(file, npz, stamp)) MF_RETURN_IF_ERROR(SetEntries(file));
      return Outcome::kSkip;
    }
    MF_RETURN_IF_ERROR(Replace(file, info.st_mode, *bytes));
    MF_RETURN_IF_ERROR(SetEntries(file));
    return Outcome::kOk;
  }

  static absl::Status Replace(const CacheFile& file, mode_t mode, const std::string& bytes) {
    MF_RETURN_IF_ERROR(WriteFileAtomically(file.path, bytes));
    struct stat written;
    constexpr mode_t kBits = 07777;
    if (stat(file.path.c_str(), &written) == 0 && (written.st_mode & kBits) != (mode & kBits) &&
        chmod(file.path.c_str(), mode & kBits) != 0) {
      return absl::ErrnoToStatus(errno,
                                 absl::StrCat(file.path, ": cannot give it the old file's permissions"));
    }
    for (const std::string& other : file.hard_links) {
      if (other != file.path) MF_RETURN_IF_ERROR(PlaceFile(file.path, other, LinkMode::kHardlink));
    }
    return absl::OkStatus();
  }

  // Read anew: the lock went with the old file, and another migration may have been at the new one already.
  absl::Status SetEntries(const CacheFile& file) {
    ShapeEntry now;
    ArrayLayout layout;
    MF_ASSIGN_OR_RETURN(const FileStamp stamp, DescribeNow(file.path, /*checksum=*/true, &now, &layout));
    ForEachManifest(file, [&](ManifestUpdate& manifest, const ShapeEntry& names) {
      manifest.Set(names, now, layout, stamp);
    });
    return absl::OkStatus();
  }

  // A file that an earlier run has changed, through another view or before it was killed.
  bool MayBeStale(const CacheFile& file, const NpzReader& npz, FileStamp stamp) {
    const ArrayLayout layout = LayoutOf(npz);
    ShapeEntry now;
    now.set_file_size(npz.file_size());
    bool stale = false;
    ForEachManifest(file, [&](ManifestUpdate& manifest, const ShapeEntry& names) {
      stale |= manifest.MayBeStale(names, now, layout, stamp);
    });
    return stale;
  }

  template <class F>
  void ForEachManifest(const CacheFile& file, F call) {
    for (const CacheName& name : file.names) {
      const auto manifest = manifests_.find(name.root);
      if (manifest == manifests_.end()) continue;
      ShapeEntry names;
      names.set_split(name.split);
      names.set_class_name(name.class_name);
      names.set_id(name.id);
      call(*manifest->second, names);
    }
  }

  void AddFailure(const ShapeEntry& shape, const std::string& reason, MigrateResult* result) const {
    FailedShape* failed = result->add_failed();
    failed->set_split(shape.split());
    failed->set_class_name(shape.class_name());
    failed->set_id(shape.id());
    failed->set_source(ShapePath(config_.cache_root(), shape));
    failed->set_reason(reason);
  }

  MigrateResult Count() const {
    int64_t tally[4] = {0, 0, 0, 0}, written = 0;
    std::vector<std::string> reasons(shapes_.size());
    std::vector<bool> fails(shapes_.size(), false);
    for (size_t i = 0; i < shapes_.size(); ++i) {
      if (files_.missing[i].ok()) continue;
      reasons[i] = std::string(files_.missing[i].message());
      fails[i] = true;
      ++tally[static_cast<int>(Outcome::kFail)];
      LogLine(absl::StrCat("failed: ", reasons[i]));
    }
    for (size_t f = 0; f < files_.files.size(); ++f) {
      const CacheFile& file = files_.files[f];
      tally[static_cast<int>(outcomes_[f])] += static_cast<int64_t>(file.shapes.size());
      written += outcomes_[f] == Outcome::kOk;
      if (outcomes_[f] != Outcome::kFail) continue;
      for (const int64_t shape : file.shapes) {
        reasons[shape] = reasons_[f];
        fails[shape] = true;
      }
    }
    MigrateResult result;
    result.set_ok(tally[static_cast<int>(Outcome::kOk)]);
    result.set_skip(tally[static_cast<int>(Outcome::kSkip)]);
    result.set_fail(tally[static_cast<int>(Outcome::kFail)]);
    result.set_total(static_cast<int64_t>(shapes_.size()));
    result.set_files(static_cast<int64_t>(files_.files.size()));
    result.set_files_written(written);
    for (size_t i = 0; i < shapes_.size(); ++i) {
      if (fails[i]) AddFailure(shapes_[i], reasons[i], &result);
    }
    return result;
  }

  absl::Status UpdateManifests(MigrateResult* result) {
    std::vector<ManifestUpdate*> in_order;
    in_order.reserve(manifests_.size());
    for (const auto& [root, manifest] : manifests_) in_order.push_back(manifest.get());
    std::stable_partition(in_order.begin(), in_order.end(),
                          [&](const ManifestUpdate* m) { return m->root() == config_.cache_root(); });
    for (ManifestUpdate* manifest : in_order) {
      MF_ASSIGN_OR_RETURN(const ManifestUpdate::Counts counts, manifest->Apply());
      MigratedManifest* of = result->add_manifests();
      of->set_path(JoinPath(manifest->root(), kManifestName));
      of->set_updated(counts.updated);
      of->set_unknown(counts.unknown);
      LogLine(absl::StrFormat(
          "%s: %d entries updated%s", of->path(), counts.updated,
          counts.unknown == 0 ? "" : absl::StrFormat(", %d shapes are not in it", counts.unknown)));
    }
    return absl::OkStatus();
  }

  void Report(const MigrateResult& result) const {
    int64_t outside = 0;
    for (size_t i = 0; i < files_.files.size(); ++i) {
      outside += outcomes_[i] == Outcome::kOk && files_.files[i].outside_links > 0;
    }
    if (outside > 0) {
      LogLine(absl::StrFormat("%d files had hard links elsewhere: those keep the old content", outside));
    }
    LogLine(absl::StrFormat("done: ok=%d skip=%d fail=%d total=%d", result.ok(), result.skip(), result.fail(),
                            result.total()));
  }

  const MigrateConfig& config_;
  const std::vector<ShapeEntry> shapes_;
  const CacheFiles files_;
  std::vector<Outcome> outcomes_;     // of each file
  std::vector<std::string> reasons_;  // of each file; why it failed
  std::map<std::string, std::unique_ptr<ManifestUpdate>> manifests_;
  std::vector<std::unique_ptr<BuildLock>> locks_;  // of their folders: no build may run
};

}  // namespace

absl::StatusOr<MigrateResult> Migrate(const MigrateConfig& given) {
  MF_RETURN_IF_ERROR(CheckMigration(given));
  MigrateConfig config = given;
  FillDefaults(&config);
  MF_ASSIGN_OR_RETURN(ChosenShapes chosen, ChooseShapes(config));
  if (config.what() == "manifest") return WriteIndex(config, std::move(chosen));
  return Migration(config, std::move(chosen.shapes)).Run();
}

absl::StatusOr<MigrateResult> MigrateOrFail(const MigrateConfig& config) {
  MF_ASSIGN_OR_RETURN(MigrateResult result, Migrate(config));
  if (result.failed().empty()) return result;
  if (!config.record().empty()) {
    *result.mutable_provenance() = CollectProvenance("migrate", config);
    MF_RETURN_IF_ERROR(WriteResult(config.record(), result));
  }
  return absl::FailedPreconditionError(absl::StrFormat("%d of %d shapes could not be migrated; the first: %s",
                                                       result.fail(), result.total(),
                                                       result.failed(0).reason()));
}

}  // namespace manyform

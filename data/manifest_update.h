/// \file
/// Changes to a manifest whose cache has files that were rewritten.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/manifest.h"
#include "proto/manifest.pb.h"

namespace manyform {

/// Tells one content of a file from the next.
struct FileStamp {
  uint64_t inode = 0;
  int64_t modified_ns = 0;  ///< since 1970; 0 where there is no file
  bool operator==(const FileStamp&) const = default;
};
/// Links are followed.
FileStamp StampOf(const std::string& path);

/// DescribeShapeFile, and the stamp of what was described: tries again if the file was replaced meanwhile.
absl::StatusOr<FileStamp> DescribeNow(const std::string& path, bool checksum, ShapeEntry* entry,
                                      ArrayLayout* layout);

/// Collects what files have become, then writes it into the manifest in one step. Thread-safe but for Apply.
class ManifestUpdate {
 public:
  /// Reads <root>/manifest.binpb as it is now. \error as ReadManifest.
  static absl::StatusOr<std::unique_ptr<ManifestUpdate>> Open(const std::string& root);

  /// Whether the manifest may say something else of the shape than its file: another size or layout, or a
  /// checksum from before the file was last changed. False for a shape it does not have.
  bool MayBeStale(const ShapeEntry& names, const ShapeEntry& file, const ArrayLayout& layout,
                  FileStamp stamp) const;
  /// The shape's file is as `file` says (size, checksum) with this layout, as long as it has this stamp.
  void Set(const ShapeEntry& names, const ShapeEntry& file, const ArrayLayout& layout, FileStamp stamp);

  struct Counts {
    int64_t updated = 0;  ///< entries that are changed now
    int64_t unknown = 0;  ///< shapes that were set and that the manifest does not have
  };
  /// Reads the manifest again under a lock of the root (other processes may have updated it), and writes it
  /// if an entry changes. A file that another process has changed since Set is described as it is now.
  /// \error as ReadManifest and WriteManifest.
  absl::StatusOr<Counts> Apply();
  const std::string& root() const { return root_; }

 private:
  struct Change {
    ShapeEntry file;
    FileStamp stamp;
  };
  ManifestUpdate(std::string root, CacheManifest manifest, int64_t written_ns);
  void LookAgain(const ShapeEntry& entry, Change* change);
  const std::string root_;
  const CacheManifest manifest_;
  const int64_t written_ns_;
  std::vector<std::string> known_layouts_;  // of manifest_, as bytes
  LayoutTable layouts_;
  std::mutex mutex_;
  absl::flat_hash_map<std::string, Change> changes_;  // by split/class/id
};

/// Keeps other processes from updating the same manifest meanwhile: <root>/_meta/manifest.lock.
class ManifestLock {
 public:
  /// Waits for who has it. \error as OpenLocked (data/build_lock.h).
  static absl::StatusOr<std::unique_ptr<ManifestLock>> Take(const std::string& root);
  ~ManifestLock();
  ManifestLock(const ManifestLock&) = delete;
  ManifestLock& operator=(const ManifestLock&) = delete;

 private:
  ManifestLock(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  const std::string path_;
  const int fd_;
};

}  // namespace manyform

/// \file
/// The index of a cache or view, <root>/manifest.binpb, and shapes opened through it.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/npz.h"
#include "proto/manifest.pb.h"

namespace manyform {

inline constexpr std::string_view kManifestName = "manifest.binpb";

/// Sorted bytewise by split, class, id. \error DataLoss for a file that is no manifest, that was damaged, or
/// whose layouts are inconsistent; NotFound.
absl::StatusOr<CacheManifest> ReadManifest(const std::string& cache_root);
/// Sorts, then writes deterministically and atomically, with a checksum of the manifest itself at the end.
absl::Status WriteManifest(const std::string& cache_root, CacheManifest manifest);
/// Entries of all <root>/<split>/<class>/<id>.npz, sorted, with these names only. Folders that start with '_'
/// or '.' are not splits.
absl::StatusOr<std::vector<ShapeEntry>> ListCacheFiles(const std::string& cache_root);
/// Sets the entry's size, and its checksum if asked, and the layout, from the file. \error as
/// NpzReader::Open.
absl::Status DescribeShapeFile(const std::string& path, bool checksum, ShapeEntry* entry,
                               ArrayLayout* layout);
/// Makes entries for all <root>/<split>/<class>/<id>.npz by opening each file: for caches made elsewhere.
/// Checksums are left out unless `checksums`. \error as DescribeShapeFile: a damaged file ends it.
absl::StatusOr<CacheManifest> IndexCache(const std::string& cache_root, int num_threads, bool checksums);
/// ReadManifest, or IndexCache (with a log line that says so) where there is none.
absl::StatusOr<CacheManifest> OpenManifest(const std::string& cache_root, int num_threads = 0);
/// Numbers layouts as they come, equal ones alike. Thread-safe.
class LayoutTable {
 public:
  int Number(const ArrayLayout& layout);
  /// By number. \pre no Number runs
  const std::vector<ArrayLayout>& layouts() const { return layouts_; }

 private:
  std::mutex mutex_;
  absl::flat_hash_map<std::string, int> numbers_;
  std::vector<ArrayLayout> layouts_;
};
/// A manifest of shapes whose `layout` is an index into `layouts`, in the order it is written in.
CacheManifest MakeManifest(std::vector<ShapeEntry> shapes, std::vector<ArrayLayout> layouts);
/// Gives `entry` the layout `arrays`, reusing an equal one of `manifest`.
void SetLayout(CacheManifest* manifest, ShapeEntry* entry, const ArrayLayout& arrays);
/// The layout of an open file.
ArrayLayout LayoutOf(const NpzReader& npz);
/// OK if `path` is the file the entry describes, byte for byte (size alone where it has no checksum).
/// \error NotFound; DataLoss.
absl::Status VerifyShapeFile(const std::string& path, const ShapeEntry& entry);
/// SHA-256 over keys, sizes and checksums of one split's entries, for protocol signatures.
std::string SplitFingerprint(const CacheManifest& manifest, std::string_view split);

/// <root>/<split>/<class>/<id>.npz exactly as typed: what seeds hash.
std::string ShapePath(std::string_view cache_root, const ShapeEntry& entry);
/// "class/id".
std::string ShapeKey(const ShapeEntry& entry);

enum class VerifyShape {
  /// When the process first opens a file as it now is, all of it is read once and compared with the entry's
  /// checksum; without one, stored members with their own (deflated ones always are). Later opens cost a
  /// stat.
  kOnce,
  kNever
};

/// One opened shape: arrays by name. Stored arrays are mapped, compressed ones inflated when asked for and
/// kept. Thread-safe.
class ShapeFile {
 public:
  /// \error as MappedFile::Open; DataLoss if the file's size or content is not the entry's, or an array
  /// leaves the file.
  static absl::StatusOr<std::shared_ptr<const ShapeFile>> Open(const std::string& path,
                                                               const ShapeEntry& entry,
                                                               const CacheManifest& manifest,
                                                               VerifyShape verify = VerifyShape::kOnce);
  /// Without a manifest: each array is compared with its checksum when it is first asked for.
  static absl::StatusOr<std::shared_ptr<const ShapeFile>> Open(const std::string& path);
  virtual ~ShapeFile() = default;
  virtual bool Has(std::string_view name) const = 0;
  /// \error NotFound naming file and array.
  virtual absl::StatusOr<Array> Get(std::string_view name) const = 0;
  virtual const std::string& path() const = 0;
};

}  // namespace manyform

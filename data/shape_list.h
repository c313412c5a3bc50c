/// \file
/// The shapes of one split, and the answers of a backend to each, kept while memory allows.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "data/backends.h"
#include "data/manifest.h"

namespace manyform {

/// How much of what was answered a list remembers, whatever it holds. The oldest goes first.
struct KeptLimits {
  int64_t shapes = 16384;
  int64_t heap_bytes = int64_t{1} << 30;    ///< computed, converted and inflated arrays
  int64_t mapped_bytes = int64_t{4} << 30;  ///< of files that stay mapped
};

/// The shapes of one split of a cache or view, in the order of their sorted paths ("class/id.npz" bytewise).
/// Cheap to copy: copies share what is kept.
class ShapeList {
 public:
  /// \error NotFound if the split has no shapes (names the splits there are).
  static absl::StatusOr<ShapeList> Open(const std::string& cache_root, const std::string& split,
                                        const KeptLimits& limits = {});
  int64_t size() const { return static_cast<int64_t>(entries_.size()); }
  const ShapeEntry& entry(int64_t i) const { return *entries_[i]; }
  std::string path(int64_t i) const { return ShapePath(cache_root_, *entries_[i]); }
  std::string key(int64_t i) const { return ShapeKey(*entries_[i]); }
  absl::StatusOr<std::shared_ptr<const ShapeFile>> Load(int64_t i) const;
  /// AnswerPools(Load(i), options), remembered within the limits: files stay mapped, computed answers stay
  /// computed. Where the mesh stands in for what the cache lacks, that is logged once. Thread-safe.
  /// \error as AnswerPools and ShapeFile::Open; FailedPrecondition where the cache was built without what
  /// the backend answers with (no_pc_rays, no_udf).
  absl::StatusOr<std::shared_ptr<const Pools>> Answers(int64_t i, const BackendOptions& options) const;
  /// Distinct class names, sorted.
  std::vector<std::string> ClassNames() const;
  /// Whether scans are among them that were made from meshes rather than measured.
  bool AnySimulated() const;
  /// Fingerprint of the split's content.
  const std::string& fingerprint() const { return fingerprint_; }
  const std::string& cache_root() const { return cache_root_; }
  const std::string& split() const { return split_; }

 private:
  class Kept;
  absl::Status CheckFallbacks(int64_t i, const ShapeFile& shape, const BackendOptions& options) const;
  std::string cache_root_, split_, fingerprint_;
  std::shared_ptr<const CacheManifest> manifest_;
  std::vector<const ShapeEntry*> entries_;
  std::shared_ptr<Kept> kept_;
};

}  // namespace manyform

/// \file
/// Where the files of a cache or view really are, and which caches' manifests name them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "proto/manifest.pb.h"

namespace manyform {

/// A shape's name in one cache.
struct CacheName {
  std::string root;  ///< free of links, or as given for the cache that was asked
  std::string split, class_name, id;
};

/// One real file behind some of the shapes of a cache.
struct CacheFile {
  std::string path;                     ///< its name, free of links; the first of `hard_links` by bytes
  std::vector<std::string> hard_links;  ///< all names of it that the shapes lead to
  uint64_t outside_links = 0;           ///< names it has beside those
  std::vector<int64_t> shapes;          ///< which shapes lead here
  std::vector<CacheName> names;         ///< theirs, and those of every cache that a link on the way is in
};

struct CacheFiles {
  std::vector<CacheFile> files;       ///< in the order of their first shapes
  std::vector<absl::Status> missing;  ///< of each shape: OK, or why there is no file
};

/// Follows every link of <cache_root>/<split>/<class>/<id>.npz of the shapes. Files are told apart by device
/// and inode, so that each is there once however many shapes lead to it.
CacheFiles FindCacheFiles(const std::string& cache_root, absl::Span<const ShapeEntry> shapes);

}  // namespace manyform

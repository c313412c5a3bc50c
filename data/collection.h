/// \file
/// What a collection program hands to BuildCollection, and what comes back.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "data/npz.h"
#include "google/protobuf/message.h"
#include "proto/manifest.pb.h"

namespace manyform {

/// A list of shapes that becomes a cache.
struct Collection {
  std::string program;   ///< names journals, parts of shards and the progress line: "build_cache"
  std::string out_root;  ///< <out_root>/<split>/<class>/<id>.npz
  /// Every shape of the splits that are built, in the list's order: split, class_name, id, source and seed
  /// set. Not empty; no two have the same split, class and id.
  std::vector<ShapeEntry> shapes;
  /// Splits this build is responsible for; shapes of others that the manifest has are kept.
  std::vector<std::string> splits;
  /// What made it: text and fingerprint go into the manifest. Fields marked (not_in_fingerprint), and those
  /// in `unfingerprinted`, which say what is built rather than how (split), are left out. FillDefaults has
  /// been called. Outlives the build.
  const google::protobuf::Message* config = nullptr;
  std::vector<std::string> unfingerprinted;
  bool overwrite = false, compress = false;
  int num_threads = 0;
  std::string shard;             ///< "": all; "i/n", 0 <= i < n: the shapes whose number modulo n is i
  uint64_t bytes_per_shape = 0;  ///< of a stored file, for the projection and the check of free space
  /// What a deflated one takes at least; of `compress`, the check asks for no more.
  uint64_t least_bytes_per_shape = 0;
  bool may_be_larger = false;  ///< bytes_per_shape is the smallest shape's: the sources' sizes differ
  /// Files below out_root that go along, as path and content: _splits/train.txt and the like.
  std::vector<std::pair<std::string, std::string>> notes;
  /// The arrays of one shape; may add to the entry (mesh, scan). Called from threads, once for each shape
  /// that is not there yet. An error is that shape's (logged, listed, tried again by the next run, the rest
  /// goes on) unless it is ResourceExhausted or Cancelled, which end the build.
  std::function<absl::StatusOr<std::vector<NamedArray>>(ShapeEntry* shape)> make;
};

/// The queries' coordinates and distances are random to their last bits, and deflate by far less than to
/// half; of clouds and rays nothing is sure.
inline uint64_t LeastDeflatedSize(int64_t pt_pool) { return pt_pool * 4 * sizeof(float) / 2; }

struct CollectionOutcome {
  int64_t built = 0, skipped = 0;
  int64_t cache_bytes = 0;  ///< of all files that the manifest, or the shard's part of it, lists
  std::vector<FailedShape> failed;
  double shapes_per_second = 0;
  std::string manifest;  ///< its path; a shard's part
};

}  // namespace manyform

/// \file
/// Pictures of a split's shapes: from the mesh a shape was made of where that can still be read, else from
/// its observed points.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "base/png_writer.h"
#include "data/shape_list.h"
#include "proto/manifest.pb.h"

namespace manyform {

class ShapePictures {
 public:
  /// `up_axis` as in RenderOptions. \error as ShapeList::Open.
  static absl::StatusOr<ShapePictures> Create(const std::string& cache_root, const std::string& split,
                                              int up_axis);

  enum class Style { kSurface, kPoints };
  /// A PNG as a data URI, made once. A surface without a readable mesh becomes points. \error NotFound for a
  /// key that is not in the split; as ShapeFile::Get if there are no points either.
  absl::StatusOr<std::string> Picture(const std::string& key, Style style);

  /// The mesh a shape was made of: the entry's source, or, in a view, that of the cache it was made from.
  /// "" if nobody knows.
  std::string MeshPath(const std::string& key);

  /// Surfaces that became points.
  int without_mesh() const { return without_mesh_; }

 private:
  absl::StatusOr<Image> Render(int64_t shape, Style style);
  const CacheManifest* SourceManifest(const std::string& root);

  std::shared_ptr<const ShapeList> shapes_;
  int up_axis_ = 1, without_mesh_ = 0;
  absl::flat_hash_map<std::string, int64_t> index_;
  std::map<std::pair<std::string, Style>, std::string> made_;
  std::map<std::string, std::unique_ptr<const CacheManifest>> manifests_;
};

}  // namespace manyform

/// \file
/// Every shape an audit looks at: what manifests list and what folders hold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "data/duplicate_shapes.h"
#include "proto/audit.pb.h"
#include "proto/manifest.pb.h"

namespace manyform {

struct AuditedShape {
  int root = 0;
  ShapeEntry entry;     ///< split, class_name, id; all of the manifest's where it is `listed`
  bool listed = false;  ///< in the manifest
  bool there = false;   ///< a file can be opened at the path
  std::string path;

  // What reading it found.
  bool read = false;
  uint64_t size = 0;
  std::pair<uint64_t, uint64_t> file{0, 0};  ///< device and inode: the same for two links to one file
  uint64_t content = 0;                      ///< of all arrays' names, types, shapes and bytes
  uint64_t cloud = 0;                        ///< of pc_xyz; 0 if there is none
  ShapeSignature signature;
  std::vector<std::pair<std::string, std::string>> layout;  ///< array, "<f4 (2048, 3)"; by name
  std::vector<Finding> findings;
};

struct AuditedRoot {
  std::string path;
  std::optional<CacheManifest> manifest;
  std::vector<std::pair<std::string, std::string>> empty_classes;  ///< split, class without any .npz
  std::vector<Finding> findings;
};

/// Appends the shapes of config.cache_root(root) in the chosen splits, sorted by split, class, id. A damaged
/// manifest is a finding (manifest_damaged), and the folders alone are looked at; so is a view's note that
/// sources were missing (view_incomplete) and a shape that could not be built (failed_shape).
/// \error NotFound if there is no such folder, or it has no shapes in the chosen splits.
absl::StatusOr<AuditedRoot> ListAuditedShapes(const AuditConfig& config, int root,
                                              std::vector<AuditedShape>* shapes);

/// The finding with root, split, key and file of the shape.
Finding At(const AuditedShape& shape, const AuditConfig& config, Finding finding);

}  // namespace manyform

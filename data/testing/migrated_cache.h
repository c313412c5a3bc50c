/// \file
/// Copies of the caches that the published migrations were run on, and what was made of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "data/manifest.h"
#include "data/migrate.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {

namespace fs = std::filesystem;
inline constexpr char kBefore[] = "testdata/golden/b_shapes/migrate/before";

inline std::string NewFolder(absl::string_view name) {
  std::string folder = absl::StrCat(testing::TempDir(), "/migrate_", name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return fs::canonical(folder);
}

// Runfiles are links to read-only files: a cache of its own.
inline std::string CopyOf(const std::string& from, absl::string_view name) {
  std::string root = NewFolder(name);
  for (const auto& file : fs::recursive_directory_iterator(from)) {
    if (fs::is_directory(file.path())) continue;
    const std::string to = JoinPath(root, file.path().lexically_relative(from).string());
    EXPECT_TRUE(WriteFileAtomically(to, OrThrow(ReadFile(file.path()))).ok());
  }
  return root;
}

inline MigrateConfig Config(const std::string& what, const std::string& root) {
  MigrateConfig config;
  config.set_what(what);
  config.set_cache_root(root);
  config.set_num_threads(2);
  return config;
}

// As the published programs print it.
inline std::string Counts(const MigrateResult& result) {
  return absl::StrCat("ok=", result.ok(), " skip=", result.skip(), " fail=", result.fail());
}

inline NpzReader Npz(const std::string& root, const std::string& shape) {
  return OrThrow(NpzReader::Open(absl::StrCat(root, "/", shape, ".npz")));
}

inline int64_t EntriesThatFit(const std::string& root) {
  const CacheManifest manifest = OrThrow(ReadManifest(root));
  int64_t fit = 0;
  for (const ShapeEntry& entry : manifest.shapes()) {
    const std::string path = ShapePath(root, entry);
    const auto shape = ShapeFile::Open(path, entry, manifest);
    fit += VerifyShapeFile(path, entry).ok() && shape.ok() && (*shape)->Get("pt_xyz_pool").ok();
  }
  return fit;
}

}  // namespace manyform

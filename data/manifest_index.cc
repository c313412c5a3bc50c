#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "base/thread_pool.h"
#include "data/manifest.h"
#include "data/simulated_mark.h"

namespace manyform {
namespace {

constexpr absl::string_view kShapeSuffix = ".npz";

bool IsFolder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

// Folders below `path` that are part of a cache, by name.
absl::StatusOr<std::vector<std::string>> Folders(const std::string& path, absl::string_view not_first) {
  MF_ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirectory(path));
  std::erase_if(names, [&](const std::string& name) {
    return not_first.find(name[0]) != absl::string_view::npos || !IsFolder(JoinPath(path, name));
  });
  return names;
}

}  // namespace

absl::StatusOr<std::vector<ShapeEntry>> ListCacheFiles(const std::string& cache_root) {
  std::vector<ShapeEntry> shapes;
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> splits, Folders(cache_root, "_."));
  for (const std::string& split : splits) {
    const std::string split_path = JoinPath(cache_root, split);
    MF_ASSIGN_OR_RETURN(const std::vector<std::string> classes, Folders(split_path, "."));
    for (const std::string& class_name : classes) {
      MF_ASSIGN_OR_RETURN(const std::vector<std::string> files,
                          ListDirectory(JoinPath(split_path, class_name)));
      for (const std::string& file : files) {
        if (file[0] == '.' || !absl::EndsWith(file, kShapeSuffix)) continue;
        ShapeEntry& entry = shapes.emplace_back();
        entry.set_split(split);
        entry.set_class_name(class_name);
        entry.set_id(file.substr(0, file.size() - kShapeSuffix.size()));
      }
    }
  }
  // File names sort with their ending.
  std::sort(shapes.begin(), shapes.end(), [](const ShapeEntry& a, const ShapeEntry& b) {
    return std::tie(a.split(), a.class_name(), a.id()) < std::tie(b.split(), b.class_name(), b.id());
  });
  return shapes;
}

absl::Status DescribeShapeFile(const std::string& path, bool checksum, ShapeEntry* entry,
                               ArrayLayout* layout) {
  // One mapping, so that what is said is of one file even if another takes its name meanwhile.
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  MF_ASSIGN_OR_RETURN(const NpzReader npz, NpzReader::FromFile(path, file));
  *layout = LayoutOf(npz);
  entry->set_file_size(npz.file_size());
  entry->clear_checksum();
  if (checksum) entry->set_checksum(Xxh3(file->bytes()));
  return absl::OkStatus();
}

absl::StatusOr<CacheManifest> IndexCache(const std::string& cache_root, int num_threads, bool checksums) {
  MF_ASSIGN_OR_RETURN(std::vector<ShapeEntry> shapes, ListCacheFiles(cache_root));
  if (HasSimulatedMark(cache_root)) {
    for (ShapeEntry& shape : shapes) MarkSimulated(&shape);
  }
  LayoutTable layouts;
  MF_RETURN_IF_ERROR(
      ParallelFor(static_cast<int64_t>(shapes.size()), num_threads, [&](int64_t i) -> absl::Status {
        ArrayLayout layout;
        MF_RETURN_IF_ERROR(
            DescribeShapeFile(ShapePath(cache_root, shapes[i]), checksums, &shapes[i], &layout));
        shapes[i].set_layout(layouts.Number(layout));
        return absl::OkStatus();
      }));
  return MakeManifest(std::move(shapes), layouts.layouts());
}

absl::StatusOr<CacheManifest> OpenManifest(const std::string& cache_root, int num_threads) {
  absl::StatusOr<CacheManifest> manifest = ReadManifest(cache_root);
  if (!absl::IsNotFound(manifest.status())) return manifest;
  if (!IsFolder(cache_root)) return absl::NotFoundError(absl::StrCat(cache_root, ": no such cache folder"));
  MF_ASSIGN_OR_RETURN(CacheManifest index, IndexCache(cache_root, num_threads, /*checksums=*/false));
  LogLine(absl::StrCat(cache_root, " has no ", ToAbsl(kManifestName), ": indexed ", index.shapes_size(),
                       " shapes in memory"));
  return index;
}

}  // namespace manyform

#include "eval/shape_pictures.h"

#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/html.h"
#include "base/status_macros.h"
#include "data/manifest.h"
#include "data/mesh_reader.h"
#include "geometry/render.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

constexpr int kPixels = 240;

absl::StatusOr<PointsF> ReadPoints(const ShapeFile& file, std::string_view name) {
  MF_ASSIGN_OR_RETURN(const Array array, file.Get(name));
  if (array.shape.size() != 2 || array.shape[1] != 3)
    return absl::DataLossError(absl::StrCat(file.path(), ": ", std::string(name), " is not (N,3)"));
  MF_ASSIGN_OR_RETURN(const std::vector<float> values, array.Values<float>());
  return PointsF(Eigen::Map<const PointsF>(values.data(), array.shape[0], 3));
}

/// Where a view's file leads to, without the part below the source's root; "" if it is no such link.
std::string RootBehindLink(const std::string& path, const std::string& below_root) {
  std::error_code error;
  const std::string real = std::filesystem::canonical(path, error).string();
  if (error || !absl::EndsWith(real, absl::StrCat("/", below_root))) return "";
  return real.substr(0, real.size() - below_root.size() - 1);
}

/// What materialize noted of copies and hard links.
std::string RootInNotes(const std::string& cache_root) {
  const auto text = ReadFile(JoinPath(cache_root, "_meta/split_source.json"));
  if (!text.ok()) return "";
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  const bool there =
      json.is_object() && json.contains("src_cache_root") && json["src_cache_root"].is_string();
  return there ? json["src_cache_root"].get<std::string>() : "";
}

}  // namespace

absl::StatusOr<ShapePictures> ShapePictures::Create(const std::string& cache_root, const std::string& split,
                                                    int up_axis) {
  ShapePictures pictures;
  MF_ASSIGN_OR_RETURN(ShapeList shapes, ShapeList::Open(cache_root, split));
  pictures.shapes_ = std::make_shared<const ShapeList>(std::move(shapes));
  pictures.up_axis_ = up_axis;
  for (int64_t i = 0; i < pictures.shapes_->size(); ++i) pictures.index_[pictures.shapes_->key(i)] = i;
  return pictures;
}

const CacheManifest* ShapePictures::SourceManifest(const std::string& root) {
  std::unique_ptr<const CacheManifest>& manifest = manifests_[root];
  if (manifest == nullptr) {
    auto read = ReadManifest(root);
    // Without one nobody knows where the meshes were; an empty one says that.
    manifest = std::make_unique<const CacheManifest>(read.ok() ? *std::move(read) : CacheManifest());
  }
  return manifest.get();
}

std::string ShapePictures::MeshPath(const std::string& key) {
  const auto found = index_.find(key);
  if (found == index_.end()) return "";
  const std::string& source = shapes_->entry(found->second).source();
  if (!absl::EndsWith(source, ".npz")) return source;
  std::string root = RootBehindLink(shapes_->path(found->second), source);
  if (root.empty()) root = RootInNotes(shapes_->cache_root());
  if (root.empty()) return "";
  for (const ShapeEntry& entry : SourceManifest(root)->shapes()) {
    if (absl::StrCat(entry.split(), "/", ShapeKey(entry), ".npz") == source) return entry.source();
  }
  return "";
}

absl::StatusOr<Image> ShapePictures::Render(int64_t shape, Style style) {
  RenderOptions options = {.width = kPixels, .height = kPixels, .up_axis = up_axis_};
  options.background = {255, 255, 255};
  if (style == Style::kSurface) {
    const std::string path = MeshPath(shapes_->key(shape));
    if (!path.empty()) {
      const auto mesh = ReadMesh(path);
      if (mesh.ok()) return RenderMesh(*mesh, options);
    }
    ++without_mesh_;
  }
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const ShapeFile> file, shapes_->Load(shape));
  MF_ASSIGN_OR_RETURN(const PointsF points, ReadPoints(*file, "pc_xyz"));
  std::optional<PointsF> normals;
  if (file->Has("pc_n")) {
    MF_ASSIGN_OR_RETURN(normals, ReadPoints(*file, "pc_n"));
    if (normals->rows() != points.rows()) normals.reset();
  }
  return RenderPoints(points, normals, options);
}

absl::StatusOr<std::string> ShapePictures::Picture(const std::string& key, Style style) {
  std::string& made = made_[{key, style}];
  if (!made.empty()) return made;
  const auto found = index_.find(key);
  if (found == index_.end()) {
    return absl::NotFoundError(absl::StrCat("no shape ", key, " in split ", shapes_->split(), " of ",
                                            shapes_->cache_root(), "; were the results measured on it?"));
  }
  MF_ASSIGN_OR_RETURN(const Image image, Render(found->second, style));
  MF_ASSIGN_OR_RETURN(const std::string png, EncodePng(image));
  made = DataUri("image/png", png);
  return made;
}

}  // namespace manyform

#include "data/mesh_list.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <map>
#include <system_error>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/string_views.h"

namespace manyform {

namespace {

constexpr absl::string_view kMeshEndings[] = {".obj",  ".off", ".ply", ".stl",
                                              ".gltf", ".glb", ".dae", ".3ds"};

std::vector<std::string> Components(std::string_view below_root) {
  return absl::StrSplit(ToAbsl(below_root), '/', absl::SkipEmpty());
}

// Position of the first "models" that has two components before it; 0 if there is none.
size_t FindModels(const std::vector<std::string>& parts) {
  for (size_t i = 2; i < parts.size(); ++i) {
    if (parts[i] == "models") return i;
  }
  return 0;
}

std::string Stem(const std::string& file) {
  const size_t dot = file.rfind('.');
  return dot == 0 || dot == std::string::npos ? file : file.substr(0, dot);
}

absl::Status CheckRoot(absl::string_view option, const std::string& root) {
  if (FileExists(root)) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(option, " ", root, " does not exist"));
}

// Names the files by `infer`; no two may become one shape.
absl::StatusOr<std::vector<MeshSource>> NameMeshes(
    const std::string& root, std::vector<std::string> paths,
    std::pair<std::string, std::string> (*infer)(std::string_view below_root)) {
  std::vector<MeshSource> meshes;
  meshes.reserve(paths.size());
  absl::flat_hash_map<std::pair<std::string, std::string>, std::string> seen;
  for (std::string& path : paths) {
    if (path.find_first_of("\n\r") != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("a line break in the name of ", absl::CEscape(path)));
    }
    auto [class_name, id] = infer(std::string_view(path).substr(root.size()));
    const auto [it, is_new] = seen.try_emplace({class_name, id}, path);
    if (!is_new) {
      return absl::InvalidArgumentError(absl::StrCat(it->second, " and ", path, " would both become shape ",
                                                     class_name, "/", id, "; narrow mesh_glob"));
    }
    meshes.push_back({std::move(path), std::move(class_name), std::move(id)});
  }
  return meshes;
}

absl::Status NothingMatches(absl::string_view what, const std::string& root) {
  return absl::NotFoundError(absl::StrCat("no mesh matches ", what, " below ", root));
}

}  // namespace

std::pair<std::string, std::string> InferClassAndId(std::string_view below_root) {
  const std::vector<std::string> parts = Components(below_root);
  if (parts.empty()) return {"unknown", ""};
  const size_t n = parts.size(), models = FindModels(parts);
  if (models > 0) return {parts[models - 2], parts[models - 1]};
  return {n == 1 ? "unknown" : parts[n == 2 ? 0 : n - 3], Stem(parts.back())};
}

std::pair<std::string, std::string> InferClassAndIdInTree(std::string_view below_root) {
  std::vector<std::string> parts = Components(below_root);
  if (parts.empty()) return {"unknown", ""};
  const size_t models = FindModels(parts);
  if (models > 0) return {parts[models - 2], parts[models - 1]};
  parts.back() = Stem(parts.back());
  if (parts.size() == 1) return {"unknown", parts[0]};
  return {parts[0], absl::StrJoin(parts.begin() + 1, parts.end(), "_")};
}

void DivideTrainTest(double test_ratio, int64_t split_seed, std::vector<MeshSource>* meshes) {
  std::map<std::string, std::vector<MeshSource*>> classes;
  for (MeshSource& mesh : *meshes) classes[mesh.class_name].push_back(&mesh);
  for (auto& [name, members] : classes) {
    const double n = static_cast<double>(members.size());
    double num_test = std::nearbyint(test_ratio * n);
    if (members.size() >= 10) num_test = std::max(num_test, 1.0);
    num_test = std::min(num_test, n);
    std::vector<std::tuple<uint32_t, std::string, MeshSource*>> order;
    for (MeshSource* mesh : members) {
      const std::string key = absl::StrCat(mesh->class_name, "/", mesh->id, ":", split_seed);
      order.emplace_back(Md5Prefix32(key), mesh->id, mesh);
    }
    std::sort(order.begin(), order.end());
    for (size_t i = 0; i < order.size(); ++i) std::get<2>(order[i])->test = static_cast<double>(i) < num_test;
  }
}

absl::StatusOr<std::vector<MeshSource>> FindShapeNetMeshes(const std::string& root, const std::string& glob,
                                                           double test_ratio, int64_t split_seed) {
  MF_RETURN_IF_ERROR(CheckRoot("shapenet_root", root));
  const std::string pattern = glob.empty() ? kShapeNetGlob : glob;
  MF_ASSIGN_OR_RETURN(std::vector<std::string> paths, Glob(root, pattern));
  if (paths.empty()) return NothingMatches(absl::StrCat("mesh_glob ", pattern), root);
  MF_ASSIGN_OR_RETURN(std::vector<MeshSource> meshes, NameMeshes(root, std::move(paths), InferClassAndId));
  DivideTrainTest(test_ratio, split_seed, &meshes);
  return meshes;
}

absl::StatusOr<std::vector<MeshSource>> FindModelNetMeshes(const std::string& root) {
  MF_RETURN_IF_ERROR(CheckRoot("modelnet_root", root));
  std::vector<MeshSource> all;
  for (const bool test : {false, true}) {
    const char* pattern = test ? "*/test/*.off" : "*/train/*.off";
    MF_ASSIGN_OR_RETURN(std::vector<std::string> paths, Glob(root, pattern));
    MF_ASSIGN_OR_RETURN(std::vector<MeshSource> meshes, NameMeshes(root, std::move(paths), InferClassAndId));
    for (MeshSource& mesh : meshes) {
      mesh.test = test;
      all.push_back(std::move(mesh));
    }
  }
  if (all.empty()) return NothingMatches("*/{train,test}/*.off", root);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return all;
}

absl::StatusOr<std::vector<MeshSource>> FindTreeMeshes(const std::string& root, const std::string& glob,
                                                       double test_ratio, int64_t split_seed) {
  MF_RETURN_IF_ERROR(CheckRoot("tree_root", root));
  MF_ASSIGN_OR_RETURN(std::vector<std::string> paths, Glob(root, glob.empty() ? "**/*" : glob));
  if (glob.empty()) {
    std::erase_if(paths, [](const std::string& path) {
      const std::string lower = absl::AsciiStrToLower(path);
      std::error_code ignored;
      if (std::filesystem::is_directory(path, ignored)) return true;
      return std::none_of(std::begin(kMeshEndings), std::end(kMeshEndings),
                          [&](absl::string_view ending) { return absl::EndsWith(lower, ending); });
    });
  }
  if (paths.empty()) {
    return NothingMatches(glob.empty()
                              ? absl::StrCat("**/* with an ending ", absl::StrJoin(kMeshEndings, " "))
                              : absl::StrCat("mesh_glob ", glob),
                          root);
  }
  MF_ASSIGN_OR_RETURN(std::vector<MeshSource> meshes,
                      NameMeshes(root, std::move(paths), InferClassAndIdInTree));
  DivideTrainTest(test_ratio, split_seed, &meshes);
  return meshes;
}

}  // namespace manyform

#include "data/mesh_list.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/string_views.h"

namespace manyform {

std::pair<std::string, std::string> InferClassAndId(std::string_view below_root) {
  const std::vector<std::string> parts = absl::StrSplit(ToAbsl(below_root), '/', absl::SkipEmpty());
  if (parts.empty()) return {"unknown", ""};
  const size_t n = parts.size();
  for (size_t i = 2; i < n; ++i) {
    if (parts[i] == "models") return {parts[i - 2], parts[i - 1]};
  }
  const std::string& file = parts.back();
  const size_t dot = file.rfind('.');
  const std::string stem = dot == 0 || dot == std::string::npos ? file : file.substr(0, dot);
  return {n == 1 ? "unknown" : parts[n == 2 ? 0 : n - 3], stem};
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

absl::StatusOr<std::vector<MeshSource>> FindMeshes(const std::string& root, const std::string& glob,
                                                   double test_ratio, int64_t split_seed) {
  if (!FileExists(root)) return absl::NotFoundError(absl::StrCat("shapenet_root ", root, " does not exist"));
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> paths, Glob(root, glob));
  if (paths.empty()) {
    return absl::NotFoundError(absl::StrCat("no mesh matches mesh_glob ", glob, " below ", root));
  }
  std::vector<MeshSource> meshes;
  absl::flat_hash_map<std::pair<std::string, std::string>, std::string> seen;
  for (const std::string& path : paths) {
    auto [class_name, id] = InferClassAndId(std::string_view(path).substr(root.size()));
    const auto [it, is_new] = seen.try_emplace({class_name, id}, path);
    if (!is_new) {
      return absl::InvalidArgumentError(absl::StrCat(it->second, " and ", path, " would both become shape ",
                                                     class_name, "/", id, "; narrow mesh_glob ", glob));
    }
    meshes.push_back({path, std::move(class_name), std::move(id)});
  }
  DivideTrainTest(test_ratio, split_seed, &meshes);
  return meshes;
}

}  // namespace manyform

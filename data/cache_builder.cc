#include "data/cache_builder.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "data/collection_builder.h"
#include "data/mesh_list.h"
#include "data/mesh_reader.h"
#include "data/npz.h"
#include "data/shape_arrays.h"

namespace manyform {
namespace {

const std::string& RootOf(const BuildCacheConfig& config) {
  if (config.has_modelnet_root()) return config.modelnet_root();
  return config.has_tree_root() ? config.tree_root() : config.shapenet_root();
}

// One root, and with ModelNet's nothing that its folders decide.
absl::Status CheckRoots(BuildCacheConfig* config) {
  // An empty value unsets a field.
  if (config->shapenet_root().empty()) config->clear_shapenet_root();
  if (config->modelnet_root().empty()) config->clear_modelnet_root();
  if (config->tree_root().empty()) config->clear_tree_root();
  const int roots = config->has_shapenet_root() + config->has_modelnet_root() + config->has_tree_root();
  if (roots != 1) {
    return BadConfigError(
        absl::StrCat("exactly one of shapenet_root, modelnet_root and tree_root is needed, not ", roots));
  }
  if (!config->has_modelnet_root()) return absl::OkStatus();
  const std::pair<const char*, bool> unfit[] = {{"mesh_glob", config->has_mesh_glob()},
                                                {"test_ratio", config->has_test_ratio()},
                                                {"split_seed", config->has_split_seed()}};
  for (const auto& [name, given] : unfit) {
    if (!given) continue;
    return BadConfigError(
        absl::StrCat(name, " does not go with modelnet_root: its files are <class>/{train,test}/<id>.off"));
  }
  return absl::OkStatus();
}

// Defaults that depend on the root, then the others. Threads read the config: no default is left for protobuf
// to make at first use.
void FillAllDefaults(BuildCacheConfig* config) {
  const bool modelnet = config->has_modelnet_root();
  if (!config->has_pt_dist_mode()) config->set_pt_dist_mode(modelnet ? "mesh" : "kdtree");
  if (config->has_shapenet_root() && !config->has_mesh_glob()) config->set_mesh_glob(kShapeNetGlob);
  FillDefaults(config);
  if (!modelnet) return;
  config->clear_test_ratio();
  config->clear_split_seed();
}

absl::StatusOr<std::vector<MeshSource>> FindMeshes(const BuildCacheConfig& config) {
  if (config.has_modelnet_root()) return FindModelNetMeshes(config.modelnet_root());
  const auto find = config.has_tree_root() ? FindTreeMeshes : FindShapeNetMeshes;
  return find(RootOf(config), config.mesh_glob(), config.test_ratio(), config.split_seed());
}

std::vector<std::string> SplitsOf(const BuildCacheConfig& config) {
  if (config.split() == "all") return {"train", "test"};
  return {config.split()};
}

// Shape i of the chosen split, counted within it, draws from config.seed + i.
absl::StatusOr<std::vector<ShapeEntry>> ListShapes(const std::vector<MeshSource>& meshes,
                                                   const BuildCacheConfig& config) {
  std::vector<ShapeEntry> shapes;
  for (const MeshSource& mesh : meshes) {
    const std::string split = mesh.test ? "test" : "train";
    if (config.split() != "all" && config.split() != split) continue;
    const uint64_t seed = uint64_t{config.seed()} + shapes.size();
    if (seed > std::numeric_limits<uint32_t>::max()) {
      return absl::InvalidArgumentError(absl::StrCat("seed: ", config.seed(), " leaves no 32-bit seed for ",
                                                     mesh.path, ", number ", shapes.size(), " of the list"));
    }
    ShapeEntry& shape = shapes.emplace_back();
    shape.set_split(split);
    shape.set_class_name(mesh.class_name);
    shape.set_id(mesh.id);
    shape.set_source(mesh.path);
    shape.set_seed(static_cast<uint32_t>(seed));
  }
  if (!shapes.empty()) return shapes;
  return absl::NotFoundError(
      absl::StrCat("no shape of ", RootOf(config), " is in split=", config.split(),
                   config.has_modelnet_root() ? "" : absl::StrCat(" with test_ratio=", config.test_ratio())));
}

// As the published lists: all shapes, whatever is built.
std::vector<std::pair<std::string, std::string>> SplitLists(const std::vector<MeshSource>& meshes) {
  std::string lists[2];
  for (const MeshSource& mesh : meshes) absl::StrAppend(&lists[mesh.test ? 1 : 0], mesh.path, "\n");
  return {{"_splits/train.txt", lists[0]}, {"_splits/test.txt", lists[1]}};
}

absl::StatusOr<std::vector<NamedArray>> MakeShape(const BuildCacheConfig& config, ShapeEntry* shape) {
  MF_ASSIGN_OR_RETURN(TriangleMesh mesh, ReadMesh(shape->source()));
  *shape->mutable_mesh() = DescribeMesh(mesh);
  absl::StatusOr<std::vector<NamedArray>> arrays = BuildShapeArrays(std::move(mesh), config, shape->seed());
  if (arrays.ok()) return arrays;
  return absl::Status(arrays.status().code(), absl::StrCat(shape->source(), ": ", arrays.status().message()));
}

BuildCacheResult ResultOf(const CollectionOutcome& outcome) {
  BuildCacheResult result;
  result.set_built(outcome.built);
  result.set_skipped(outcome.skipped);
  for (const FailedShape& failed : outcome.failed) *result.add_failed() = failed;
  result.set_cache_bytes(outcome.cache_bytes);
  result.set_shapes_per_second(outcome.shapes_per_second);
  result.set_manifest(outcome.manifest);
  return result;
}

}  // namespace

absl::StatusOr<BuildCacheResult> BuildCache(const BuildCacheConfig& given) {
  BuildCacheConfig config = given;
  MF_RETURN_IF_ERROR(CheckRoots(&config));
  FillAllDefaults(&config);
  MF_RETURN_IF_ERROR(CheckShapeOptions(config));
  NoteSeed("seed", config.seed());
  if (config.has_split_seed()) NoteSeed("split_seed", static_cast<uint64_t>(config.split_seed()));
  MF_ASSIGN_OR_RETURN(const std::vector<MeshSource> meshes, FindMeshes(config));
  Collection collection;
  collection.program = "build_cache";
  collection.out_root = config.out_root();
  MF_ASSIGN_OR_RETURN(collection.shapes, ListShapes(meshes, config));
  collection.splits = SplitsOf(config);
  collection.config = &config;
  collection.unfingerprinted = {"split"};
  collection.overwrite = config.overwrite();
  collection.compress = config.compress();
  collection.num_threads = config.num_threads();
  collection.shard = config.shard();
  MF_ASSIGN_OR_RETURN(collection.bytes_per_shape, StoredNpzSize(ShapeArraysWithoutData(config)));
  collection.least_bytes_per_shape = LeastDeflatedSize(config.pt_pool());
  collection.notes = SplitLists(meshes);
  collection.make = [&config](ShapeEntry* shape) { return MakeShape(config, shape); };
  MF_ASSIGN_OR_RETURN(const CollectionOutcome outcome, BuildCollection(collection));
  return ResultOf(outcome);
}

}  // namespace manyform

/// \file
/// Which meshes a cache is built from: what is found below a root, named and divided into train and test.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace manyform {

inline constexpr char kShapeNetGlob[] = "*/*/models/model_normalized.obj";

struct MeshSource {
  std::string path;  ///< root as typed, then what was matched
  std::string class_name, id;
  bool test = false;
};

/// ShapeNet's naming, of a path below the root: class and id are the two components before the first "models"
/// that has two before it; else the component two above the file and the file's stem, or the folder and the
/// stem, or "unknown" and the stem. The root's own folders never count.
std::pair<std::string, std::string> InferClassAndId(std::string_view below_root);

/// Any tree's naming: as ShapeNet's where there is a "models"; else the first folder is the class ("unknown"
/// for a file without one) and the rest of the path, without the file's ending and joined by '_', the id:
/// "chair/ikea/lack.ply" is ikea_lack of chair.
std::pair<std::string, std::string> InferClassAndIdInTree(std::string_view below_root);

/// Sets `test`. Of each class's n shapes round(test_ratio * n), half to even, are test, at least one if
/// n >= 10: those whose md5("<class>/<id>:<split_seed>") starts with the smallest 32-bit numbers, ties by id.
void DivideTrainTest(double test_ratio, int64_t split_seed, std::vector<MeshSource>* meshes);

/// All lists are sorted by path. \error NotFound, naming the option, if the root is missing or nothing
/// matches; InvalidArgument if two meshes would become the same shape, or for a line break in a name (the
/// split lists have one path a line); as Glob.
///
/// ShapeNetCore.v2's layout, divided. An empty glob is kShapeNetGlob.
absl::StatusOr<std::vector<MeshSource>> FindShapeNetMeshes(const std::string& root, const std::string& glob,
                                                           double test_ratio, int64_t split_seed);
/// ModelNet's layout: <class>/{train,test}/<id>.off.
absl::StatusOr<std::vector<MeshSource>> FindModelNetMeshes(const std::string& root);
/// Meshes anywhere, divided. An empty glob finds the files at any depth whose ending is one of .obj .off .ply
/// .stl .gltf .glb .dae .3ds, in any case of letters.
absl::StatusOr<std::vector<MeshSource>> FindTreeMeshes(const std::string& root, const std::string& glob,
                                                       double test_ratio, int64_t split_seed);

}  // namespace manyform

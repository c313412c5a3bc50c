/// \file
/// Which meshes a cache is built from: what is found below a root, named and divided into train and test.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace manyform {

struct MeshSource {
  std::string path;  ///< root as typed, then what was matched
  std::string class_name, id;
  bool test = false;
};

/// Class and id of a mesh from its path below the root: the two components before the first "models" that has
/// two before it; else the component two above the file and the file's stem (ModelNet's
/// <class>/train/<id>.off too), or the folder and the stem, or "unknown" and the stem. The root's own folders
/// never count.
std::pair<std::string, std::string> InferClassAndId(std::string_view below_root);

/// Sets `test`. Of each class's n shapes round(test_ratio * n), half to even, are test, at least one if
/// n >= 10: those whose md5("<class>/<id>:<split_seed>") starts with the smallest 32-bit numbers, ties by id.
void DivideTrainTest(double test_ratio, int64_t split_seed, std::vector<MeshSource>* meshes);

/// Sorted by path, divided. \error NotFound if nothing matches; InvalidArgument if two meshes would become
/// the same shape; as Glob.
absl::StatusOr<std::vector<MeshSource>> FindMeshes(const std::string& root, const std::string& glob,
                                                   double test_ratio, int64_t split_seed);

}  // namespace manyform

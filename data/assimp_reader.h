/// \file
/// PLY, STL, glTF, Collada, 3DS and the rest of what Assimp reads.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "geometry/types.h"

namespace manyform {

/// True if Assimp has a reader for names that end like this (".ply"), in any case of letters.
bool AssimpReads(const std::string& extension);
/// All meshes of the scene under their nodes' transforms, in the order of the node tree. A mesh that several
/// nodes show comes once for each. \error InvalidArgument with path and Assimp's reason.
absl::StatusOr<TriangleMesh> ReadWithAssimp(const std::string& path);

}  // namespace manyform

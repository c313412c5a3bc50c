/// \file
/// glTF, Collada and 3DS, by Assimp.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "geometry/types.h"

struct aiScene;

namespace manyform {

/// True for ".gltf", ".glb", ".dae" and ".3ds", in lower case.
bool AssimpReads(std::string_view extension);

/// All meshes of the scene under their nodes' transforms, in the order of the node tree. A mesh that several
/// nodes show comes once for each. Axes and units are the file's own: of Collada and 3DS the root, which
/// Assimp turns and scales, counts as no transform. Within a mesh, triangles come first, then quads, then
/// larger polygons; points and lines have no faces.
///
/// A child process does it, which may take a minute and some memory: a crash of the library is an error like
/// others. \error InvalidArgument with path and reason.
absl::StatusOr<TriangleMesh> ReadWithAssimp(const std::string& path);

/// What a scene shows. With `root_is_transform` its root counts as the other nodes do. Nothing is taken on
/// trust: \error InvalidArgument for an index without mesh or vertex, nodes nested too deeply, or too much to
/// hold.
absl::StatusOr<TriangleMesh> MeshOfScene(const aiScene& scene, bool root_is_transform);

}  // namespace manyform

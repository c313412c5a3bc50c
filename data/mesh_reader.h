/// \file
/// Triangle meshes from files, as the published system loads them.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "geometry/types.h"

namespace manyform {

/// By the ending of the name, in any case of letters: .obj, .off, .ply and .stl by our own readers, .gltf,
/// .glb, .dae and .3ds by Assimp (data/assimp_reader.h), node transforms applied. Polygons become triangles
/// in the published order: all triangles, then quads, then larger ones; vertices are merged as by
/// MergeVertices (geometry/mesh.h). Vertices that are not finite go with their faces; degenerate and
/// duplicate faces stay. At least one face comes back.
/// \error NotFound and the like as MappedFile::Open; InvalidArgument with path, and line where there are
/// lines, for what is malformed, refers to a vertex there is not, or has no faces; Unimplemented for an
/// unknown ending.
absl::StatusOr<TriangleMesh> ReadMesh(const std::string& path);

}  // namespace manyform

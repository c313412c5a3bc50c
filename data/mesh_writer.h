/// \file
/// Triangle meshes and point clouds to files that MeshLab and its like open.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "geometry/types.h"

namespace manyform {

/// By the ending of the name, in any case of letters. .ply: binary little-endian, double coordinates; .obj:
/// text, coordinates with as many digits as reading them back to the bit needs. Vertices and faces stay in
/// order. The file is replaced whole or not at all, as by WriteFileAtomically.
/// \error InvalidArgument with the path if the mesh has no vertices or faces, an index without vertex or a
/// coordinate that is not finite; Unimplemented for another ending; otherwise as WriteFileAtomically.
absl::Status WriteMesh(const std::string& path, const TriangleMesh& mesh);

/// A point cloud as binary .ply, single precision. \error InvalidArgument with the path for a coordinate that
/// is not finite; Unimplemented for another ending; otherwise as WriteFileAtomically.
absl::Status WritePoints(const std::string& path, const PointsFRef& points);

}  // namespace manyform

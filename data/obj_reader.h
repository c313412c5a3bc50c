/// \file
/// Wavefront OBJ.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "geometry/types.h"

namespace manyform {

/// The mesh of an OBJ file's text. Faces of one material (those before any `usemtl` count as one) make a
/// chunk; vertices merge within a chunk; chunks follow one another in reverse order of first appearance, as
/// the published loader leaves them. Objects, groups, smoothing, normals, lines, colours and material
/// libraries do not matter; texture coordinates keep vertices apart that differ in them only.
/// Negative indices count back from the vertices read so far.
/// \error InvalidArgument "path:line: what", of a malformed vertex or face or an index without vertex.
absl::StatusOr<TriangleMesh> ParseObj(std::string_view text, std::string_view path);

}  // namespace manyform

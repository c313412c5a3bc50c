/// \file
/// Stanford's PLY, text and both binary kinds.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "geometry/types.h"

namespace manyform {

/// The mesh of a PLY file: faces or triangle strips over vertices; texture coordinates (s t, u v or
/// texture_u texture_v) keep vertices apart that differ in them only. Triangles come first, then quads, then
/// larger polygons. A cloud without faces is a mesh without faces.
/// \error InvalidArgument naming path and line, row or face, of a malformed header, a file shorter than its
/// header says, or an index without vertex.
absl::StatusOr<TriangleMesh> ParsePly(std::span<const uint8_t> bytes, const std::string& path);

}  // namespace manyform

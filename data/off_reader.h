/// \file
/// Geomview's OFF, as ModelNet has it.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "geometry/types.h"

namespace manyform {

/// The mesh of an OFF file's text: [ST][C][N]OFF, the counts on the same line or the next, glued to the
/// keyword or not. Only positions and faces are read; triangles come first, then quads, then larger polygons,
/// as the published loader orders them.
/// \error InvalidArgument "path:line: what", of a malformed or missing line or an index without vertex.
absl::StatusOr<TriangleMesh> ParseOff(std::string_view text, std::string_view path);

}  // namespace manyform

/// \file
/// STL, text and binary.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "geometry/types.h"

namespace manyform {

/// The mesh of an STL file; equal corners of its triangles become one vertex. A file whose size is that of as
/// many triangles as its header says (84 + 50 n) is binary, whatever its first word; bytes after them are
/// passed over unless it starts as text does. Several solids are one mesh; normals and attributes do not
/// matter.
/// \error InvalidArgument naming path, and line of a text, for what is malformed or ends too early.
absl::StatusOr<TriangleMesh> ParseStl(std::span<const uint8_t> bytes, const std::string& path);

}  // namespace manyform

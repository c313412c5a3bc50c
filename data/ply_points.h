/// \file
/// The vertices of a PLY file, whether it has faces or not.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace manyform {

/// Vertices by row: x y z, and nx ny nz if the file has them.
struct PlyVertices {
  int64_t count = 0;
  bool has_normals = false;
  std::vector<double> values;  ///< count rows of 3 or 6
};

/// \error InvalidArgument naming path and line (row, in binary ones) for a malformed header, a vertex element
/// without x, y, z, or a file shorter than its header says.
absl::StatusOr<PlyVertices> ParsePlyVertices(std::span<const uint8_t> bytes, const std::string& path);

}  // namespace manyform

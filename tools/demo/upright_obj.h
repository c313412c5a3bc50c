/// \file
/// Wavefront .obj text turned upright, and its geometry's identity.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace manyform {

/// Row-major 3x3: a column vector p becomes R p.
using Rotation = std::array<double, 9>;
inline constexpr Rotation kNoRotation = {1, 0, 0, 0, 1, 0, 0, 0, 1};

/// Nine finite numbers between blanks, a proper rotation to 1e-3; empty text is kNoRotation.
/// \error InvalidArgument otherwise.
absl::StatusOr<Rotation> ParseRotation(absl::string_view text);

struct UprightObj {
  std::string text;
  /// SHA-256 of the lines of vertices and of the faces' vertex indices, without texture coordinates, normals,
  /// materials and names: equal for the same model in other materials.
  std::string geometry_hash;
  int64_t vertices = 0, faces = 0;
};

/// `obj` with its `v` and `vn` rotated. `mtllib` replaces the file's own reference to materials; empty: there
/// is none. Every other line stays as it is, but for line ends, which become \n.
/// \error InvalidArgument with the line's number for a vertex or normal that is not three finite numbers.
absl::StatusOr<UprightObj> MakeUpright(absl::string_view obj, const Rotation& rotation,
                                       absl::string_view mtllib);

}  // namespace manyform

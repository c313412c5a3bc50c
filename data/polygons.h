/// \file
/// Polygons of a mesh file as triangles, in the published loader's order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace manyform {

enum class TriangleOrder {
  /// Each polygon where it stands: a quad 0,1,2 then 2,3,0, a larger one as a fan.
  kInPlace,
  /// All triangles, then the quads' first halves, then their second halves, then the larger ones as fans.
  kBySize,
};

/// Three entries a triangle; each is the place of a corner in the concatenation of all polygons, of which
/// `sizes` has the numbers of corners. Fewer than three corners have no area and give no triangle.
std::vector<int64_t> Triangulate(std::span<const int32_t> sizes, TriangleOrder order);

}  // namespace manyform

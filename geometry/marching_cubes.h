/// \file
/// Isosurfaces of scalar grids (Lorensen & Cline 1987).
#pragma once

#include <span>

#include "absl/status/statusor.h"
#include "geometry/types.h"

namespace manyform {

struct IsosurfaceOptions {
  float level = 0;
  /// World position of the grid point (0,0,0) and distance between grid points.
  double origin = 0, spacing = 1;
};
/// Options whose grid points are the cell centres of a side-g grid over [-1,1]^3 (see grid.h).
IsosurfaceOptions CellCentreIsosurface(int g, float level);
/// Options whose outermost grid points lie on the faces of [-1,1]^3.
IsosurfaceOptions CornerIsosurface(int g, float level);

/// The surface between values < level (inside) and >= level, with normals outwards. Vertices are shared, lie
/// on grid edges and are linearly interpolated in double; no edge has more than two faces, and the surface is
/// open only where it leaves the grid. Empty if nothing crosses the level. \error InvalidArgument unless
/// grid.size() == g^3, g >= 2, and every value is finite.
absl::StatusOr<TriangleMesh> ExtractIsosurface(std::span<const float> grid, int g,
                                               const IsosurfaceOptions& options);

}  // namespace manyform

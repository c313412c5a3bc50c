/// \file
/// Isosurfaces of scalar grids with the topology of the trilinear interpolant (Lorensen & Cline 1987;
/// Chernyaev 1995; Lewiner et al. 2003), as the published system's scikit-image has it but for a few tunnels
/// of noisy fields, where its test errs. Our own, since the libraries that Debian has decide ambiguous cells
/// otherwise: VTK by a fixed table, OpenVDB by dual contouring.
#pragma once

#include <array>
#include <span>

#include "Eigen/Core"
#include "absl/status/statusor.h"
#include "geometry/types.h"

namespace manyform {

struct IsosurfaceOptions {
  double level = 0;
  /// World position of the grid point (0,0,0) and distances between grid points, which are positive.
  Eigen::Vector3d origin = Eigen::Vector3d::Zero(), spacing = Eigen::Vector3d::Ones();
};
/// Options whose grid points are the cell centres of a side-g grid over [-1,1]^3 (see grid.h).
IsosurfaceOptions CellCentreIsosurface(int g, double level);
/// Options whose outermost grid points lie on the faces of [-1,1]^3.
IsosurfaceOptions CornerIsosurface(int g, double level);

/// The surface between values <= level (inside) and > level, with normals to the larger values: signs and
/// orientation as scikit-image has them. `grid` holds value (x,y,z) at (x ny + y) nz + z for size {nx,ny,nz}.
///
/// Every grid edge whose ends differ has one vertex, shared by all its cells and linearly interpolated in
/// double; these come first to last as the cells are walked, and among them, rarely, a vertex within a cell.
/// Faces of cells are divided by the asymptotic decider, cells by whether the trilinear interpolant has a
/// tunnel. Every edge has two faces, in opposite directions, or one where the surface leaves the grid. Where
/// grid points are exactly at the level, vertices of several edges coincide there and faces may lack area,
/// but what is connected to what stays as said. Empty if nothing crosses the level. \error InvalidArgument
/// unless grid.size() == nx ny nz, each is >= 2, every value is finite (the first grid point that is not is
/// named), the level is finite and origin and spacing are; ResourceExhausted beyond 2^31 - 1 vertices.
absl::StatusOr<TriangleMesh> ExtractIsosurface(std::span<const float> grid, const std::array<int, 3>& size,
                                               const IsosurfaceOptions& options);
/// Of a cubic grid of side g.
absl::StatusOr<TriangleMesh> ExtractIsosurface(std::span<const float> grid, int g,
                                               const IsosurfaceOptions& options);

}  // namespace manyform

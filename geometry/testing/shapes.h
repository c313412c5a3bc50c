/// \file
/// Meshes and clouds with known answers.
#pragma once

#include <cstdint>

#include "base/numpy_random.h"
#include "geometry/types.h"

namespace manyform {

/// Axis-aligned box with outward faces, two triangles a side.
TriangleMesh BoxMesh(double half_x, double half_y, double half_z);
/// Latitude-longitude sphere about the origin; rings >= 2 bands, segments >= 3 around; closed, outward.
TriangleMesh SphereMesh(double radius, int rings, int segments);
/// Torus about z: `major` to the tube's centre, `minor` the tube's radius; closed, outward.
TriangleMesh TorusMesh(double major, double minor, int major_segments, int minor_segments);
/// Unconnected triangles with corners uniform in [-1,1]^3, shrunk about a corner by `size`.
TriangleMesh RandomTriangles(int n, double size, NumpyRandomState& random);
/// Uniform in [-extent, extent]^3.
PointsF RandomPoints(int64_t n, double extent, NumpyRandomState& random);
/// Uniform on the unit sphere.
PointsF RandomDirections(int64_t n, NumpyRandomState& random);

}  // namespace manyform

/// \file
/// First hits of rays on a triangle mesh.
#pragma once

#include <cstdint>

#include "Eigen/Core"
#include "geometry/triangle_scene.h"
#include "geometry/types.h"

namespace manyform {

struct RayHit {
  int32_t face = -1;  ///< -1 for a miss; the smallest index among equally near faces
  double t = 0;       ///< in units of the direction's length
};

/// The first hit with t >= 0 (either side of a face counts) as double arithmetic finds it: traversal is
/// single precision with a margin, every candidate is decided in double. Edges and corners belong to their
/// faces.
RayHit FirstHit(const TriangleScene& scene, const Eigen::Vector3d& origin, const Eigen::Vector3d& direction);

/// Depths (hit - origin) . direction, and normals of the faces that are hit (not turned towards the ray).
/// \pre directions have unit length up to rounding, which enters the depth as it does in the published
/// system. A ray without a usable direction or origin (zero, not finite) is a miss.
RayAnswers CastRays(const TriangleScene& scene, const PointsFRef& origins, const PointsFRef& directions);

}  // namespace manyform

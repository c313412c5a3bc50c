/// \file
/// Exact distance from points to a triangle mesh.
#pragma once

#include <cstdint>
#include <vector>

#include "Eigen/Core"
#include "geometry/triangle_scene.h"
#include "geometry/types.h"

namespace manyform {

struct SurfacePoint {
  Eigen::Vector3d point;
  double distance = 0;
  int32_t face = -1;  ///< the smallest index among equally near faces
};

/// The point of triangle abc nearest to p (Ericson, Real-Time Collision Detection, 5.1.5); degenerate
/// triangles are segments or points.
Eigen::Vector3d ClosestPointOnTriangle(const Eigen::Vector3d& p, const Eigen::Vector3d& a,
                                       const Eigen::Vector3d& b, const Eigen::Vector3d& c);

/// Traversal is single precision with a margin; every candidate is measured in double.
SurfacePoint ClosestPointOnMesh(const TriangleScene& scene, const Eigen::Vector3d& p);
/// (N) distances, computed in double.
std::vector<float> DistancesToMesh(const TriangleScene& scene, const PointsFRef& points);

}  // namespace manyform

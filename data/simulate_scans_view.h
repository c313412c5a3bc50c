/// \file
/// What a depth camera would see of a shape from one side.
#pragma once

#include <cstdint>
#include <vector>

#include "Eigen/Core"
#include "absl/status/statusor.h"
#include "base/numpy_random.h"
#include "geometry/triangle_scene.h"
#include "geometry/types.h"

namespace manyform {

/// Uniform on the sphere of that radius.
Eigen::Vector3d RandomCamera(double radius, NumpyRandomState& random);

/// First hits of the rays of a camera that looks at the origin and has the ball of radius 1 around it in full
/// view: a square image of pixels, `at_least` hits or as many as its finest resolution has. (N,3), pixel by
/// pixel. \pre the camera is outside the ball
PointsD SeeMesh(const TriangleScene& scene, const Eigen::Vector3d& camera, int64_t at_least);

/// A surface as discs around points of it, large enough to leave no gaps. Normals may point either way; a
/// zero one hides nothing.
struct SurfaceDiscs {
  PointsF centres, normals;  ///< (N,3)
  double radius = 0;
};
/// Discs around an area-weighted sample, as large as its spacing asks for. \error InvalidArgument without
/// points, or if one is not finite.
absl::StatusOr<SurfaceDiscs> MakeDiscs(PointsF centres, PointsF normals);
/// Points to which the way from the camera meets no disc whose plane is farther than a quarter of its radius:
/// (N,3), in the order given. Things that are thinner are seen from both sides. \pre the camera is outside
/// the unit ball, the points are in or close to it
PointsD SeePoints(const PointsD& points, const SurfaceDiscs& discs, const Eigen::Vector3d& camera);

struct SensorOptions {
  int64_t n_points = 2048;
  double noise_sigma = 0.01;
  double crop_ratio = 0.1;
  double drop_ratio = 0;
};
struct SimulatedScan {
  PointsF points;            ///< (n_points,3)
  int64_t num_observed = 0;  ///< points that were left to choose from
};
/// Cuts off the share crop_ratio that lies farthest in a random direction, drops drop_ratio of the rest at
/// random, keeps n_points (see PickScanPoints), and moves each along its ray from the camera by a normal with
/// noise_sigma. At least one point stays. Draws in that order. \pre at least one visible point
SimulatedScan Sense(const PointsD& visible, const Eigen::Vector3d& camera, const SensorOptions& options,
                    NumpyRandomState& random);

}  // namespace manyform

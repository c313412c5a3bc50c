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

/// Points of a surface sample that the camera sees: those that no other point hides which, in an image about
/// as coarse as the sample, falls into the same or a neighbouring pixel and is nearer by more than two
/// pixels' width. (N,3), in the order given.
PointsD SeePoints(const PointsD& points, const Eigen::Vector3d& camera);

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

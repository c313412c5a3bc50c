/// \file
/// Cameras around a shape and the random rays they send.
#pragma once

#include <cstdint>

#include "Eigen/Core"
#include "absl/status/statusor.h"
#include "base/numpy_random.h"
#include "geometry/types.h"

namespace manyform {

/// (n_views,3): azimuth evenly over [0,2pi), elevation evenly over [-0.35pi, 0.35pi] inclusive, z up.
/// Computed in double. \pre n_views >= 0
PointsF CameraPositions(int n_views, double radius = 2.2);

/// Rows right, up, forward of a camera at `position` that looks at the origin with z up (y up when it looks
/// along z). Single precision; all zero at the origin.
Eigen::Matrix<float, 3, 3, Eigen::RowMajor> LookAtOrigin(const Eigen::Vector3f& position);

struct RayPoolOptions {
  int n_views = 20;
  int64_t rays_per_view = 400;
  int64_t n_rays = 8000;  ///< the first so many of all views' rays are kept
  double radius = 2.2;
  double half_angle_degrees = 30;  ///< of the pinhole, horizontally and vertically
};
/// max(rays_per_view, ceil(n_rays / n_views)): what each view draws, kept or not.
int64_t EffectiveRaysPerView(const RayPoolOptions& options);
/// View by view, each drawing its (u,v) pairs uniform in [-1,1)^2.
/// \error InvalidArgument if n_views < 1 with n_rays > 0, or a count is negative.
absl::StatusOr<Rays> GenerateRays(const RayPoolOptions& options, NumpyRandomState& random);

}  // namespace manyform

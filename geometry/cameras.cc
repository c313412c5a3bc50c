#include "geometry/cameras.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

namespace manyform {
namespace {

using Matrix3 = Eigen::Matrix<float, 3, 3, Eigen::RowMajor>;
constexpr float kTiny = 1e-9f;

float Norm(const Eigen::Vector3f& v) { return std::sqrt((v[0] * v[0] + v[1] * v[1]) + v[2] * v[2]); }

// The reference's norm of one vector is a BLAS dot product: products in single, their sum in double.
float BlasNorm(const Eigen::Vector3f& v) {
  double sum = 0;
  for (int k = 0; k < 3; ++k) sum += v[k] * v[k];
  return std::sqrt(static_cast<float>(sum));
}

Eigen::Vector3f Cross(const Eigen::Vector3f& a, const Eigen::Vector3f& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

// A row vector times a matrix as the reference's BLAS forms it: one product, then two fused multiply-adds.
Eigen::Vector3f TimesRows(const Eigen::Vector3f& v, const Matrix3& m) {
  Eigen::Vector3f out;
  for (int k = 0; k < 3; ++k) out[k] = std::fma(v[2], m(2, k), std::fma(v[1], m(1, k), v[0] * m(0, k)));
  return out;
}

}  // namespace

PointsF CameraPositions(int n_views, double radius) {
  constexpr double kPi = std::numbers::pi;
  const double low = -0.35 * kPi, high = 0.35 * kPi;
  const double azimuth_step = 2.0 * kPi / n_views;
  const double elevation_step = n_views > 1 ? (high - low) / (n_views - 1) : 0;
  PointsF positions(n_views, 3);
  for (int i = 0; i < n_views; ++i) {
    const double a = i * azimuth_step;
    const double e = i > 0 && i == n_views - 1 ? high : i * elevation_step + low;
    positions.row(i) << static_cast<float>(radius * std::cos(e) * std::cos(a)),
        static_cast<float>(radius * std::cos(e) * std::sin(a)), static_cast<float>(radius * std::sin(e));
  }
  return positions;
}

Matrix3 LookAtOrigin(const Eigen::Vector3f& position) {
  const Eigen::Vector3f forward = -position / (BlasNorm(position) + kTiny);
  Eigen::Vector3f right = Cross(Eigen::Vector3f::UnitZ(), forward);
  if (BlasNorm(right) < 1e-6f) right = Cross(Eigen::Vector3f::UnitY(), forward);
  right /= BlasNorm(right) + kTiny;
  Matrix3 rows;
  rows << right.transpose(), Cross(forward, right).transpose(), forward.transpose();
  return rows;
}

int64_t EffectiveRaysPerView(const RayPoolOptions& options) {
  if (options.n_views < 1) return options.rays_per_view;
  return std::max(options.rays_per_view, (options.n_rays + options.n_views - 1) / options.n_views);
}

absl::StatusOr<Rays> GenerateRays(const RayPoolOptions& options, NumpyRandomState& random) {
  if (options.n_views < 0 || options.rays_per_view < 0 || options.n_rays < 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("negative count: n_views %d, rays_per_view %d, n_rays %d", options.n_views,
                        options.rays_per_view, options.n_rays));
  }
  if (options.n_views == 0 && options.n_rays > 0) {
    return absl::InvalidArgumentError(absl::StrFormat("%d rays need at least one view", options.n_rays));
  }
  const PointsF cameras = CameraPositions(options.n_views, options.radius);
  const int64_t per_view = EffectiveRaysPerView(options);
  const float depth =
      static_cast<float>(1.0 / std::tan(options.half_angle_degrees * (std::numbers::pi / 180)));
  Rays rays{PointsF(options.n_rays, 3), PointsF(options.n_rays, 3)};
  int64_t row = 0;
  for (int view = 0; view < options.n_views; ++view) {
    const Eigen::Vector3f position = cameras.row(view);
    const Matrix3 look_at = LookAtOrigin(position);
    for (int64_t i = 0; i < per_view; ++i) {
      const float u = static_cast<float>(random.Uniform(-1, 1));
      const float v = static_cast<float>(random.Uniform(-1, 1));
      if (row == options.n_rays) continue;  // the stream goes on as if the ray were kept
      Eigen::Vector3f direction(u, v, depth);
      direction /= Norm(direction) + kTiny;
      direction = TimesRows(direction, look_at);
      direction /= Norm(direction) + kTiny;
      rays.origins.row(row) = position;
      rays.directions.row(row) = direction;
      ++row;
    }
  }
  return rays;
}

}  // namespace manyform

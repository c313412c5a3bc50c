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

// The reference's norm of one vector is a BLAS dot product: products in single, their sum in double.
float BlasNorm(const Eigen::Vector3f& v) {
  double sum = 0;
  for (int k = 0; k < 3; ++k) sum += v[k] * v[k];
  return std::sqrt(static_cast<float>(sum));
}

Eigen::Vector3f Cross(const Eigen::Vector3f& a, const Eigen::Vector3f& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

// Directions by coordinate, so that loops over them work on whole vectors.
struct Directions {
  explicit Directions(int64_t n) : x(n), y(n), z(n) {}
  std::vector<float> x, y, z;

  void Normalize() {
    for (size_t i = 0; i < x.size(); ++i) {
      const float norm = std::sqrt((x[i] * x[i] + y[i] * y[i]) + z[i] * z[i]) + kTiny;
      x[i] /= norm;
      y[i] /= norm;
      z[i] /= norm;
    }
  }
  // Row vectors times a matrix as the reference's BLAS forms it: one product, then two fused multiply-adds.
  void TimesRows(const Matrix3& m) {
    const auto column = [&](size_t i, int k) {
      return std::fma(z[i], m(2, k), std::fma(y[i], m(1, k), x[i] * m(0, k)));
    };
    for (size_t i = 0; i < x.size(); ++i) {
      const float a = column(i, 0), b = column(i, 1), c = column(i, 2);
      x[i] = a, y[i] = b, z[i] = c;
    }
  }
};

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
    // The stream goes on as if all of a view's rays were kept.
    const int64_t kept = std::min(per_view, options.n_rays - row);
    Directions directions(kept);
    for (int64_t i = 0; i < per_view; ++i) {
      const float u = static_cast<float>(random.Uniform(-1, 1));
      const float v = static_cast<float>(random.Uniform(-1, 1));
      if (i >= kept) continue;
      directions.x[i] = u, directions.y[i] = v, directions.z[i] = depth;
    }
    directions.Normalize();
    directions.TimesRows(look_at);
    directions.Normalize();
    for (int64_t i = 0; i < kept; ++i, ++row) {
      rays.origins.row(row) = position;
      rays.directions.row(row) << directions.x[i], directions.y[i], directions.z[i];
    }
  }
  return rays;
}

}  // namespace manyform

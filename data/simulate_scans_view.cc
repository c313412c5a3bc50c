#include "data/simulate_scans_view.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "base/status_macros.h"
#include "data/scan_arrays.h"
#include "geometry/cameras.h"
#include "geometry/nearest.h"
#include "geometry/ray_cast.h"

namespace manyform {
namespace {

constexpr int64_t kMaxSide = 1024;  // of an image, in pixels

// A pinhole at the camera; the image just holds the unit ball.
struct Pinhole {
  explicit Pinhole(const Eigen::Vector3d& camera)
      : origin(camera), rows(LookAtOrigin(camera.cast<float>()).cast<double>()) {
    // The tangent to the ball.
    const double distance = camera.norm();
    half_width = 1 / std::sqrt(distance * distance - 1);
  }
  // Through (u, v) of the image, [-1,1]^2; unit length.
  Eigen::Vector3d Direction(double u, double v) const {
    return (rows.transpose() * Eigen::Vector3d(u * half_width, v * half_width, 1)).normalized();
  }
  Eigen::Vector3d origin;
  Eigen::Matrix3d rows;  // right, up, forward
  double half_width = 1;
};

PointsD SeeAt(const TriangleScene& scene, const Pinhole& camera, int64_t side) {
  std::vector<Eigen::Vector3d> hits;
  const double step = 2 / static_cast<double>(side);
  for (int64_t i = 0; i < side; ++i) {
    for (int64_t j = 0; j < side; ++j) {
      const Eigen::Vector3d direction = camera.Direction((static_cast<double>(j) + 0.5) * step - 1,
                                                         (static_cast<double>(i) + 0.5) * step - 1);
      const RayHit hit = FirstHit(scene, camera.origin, direction);
      if (hit.face >= 0) hits.push_back(camera.origin + hit.t * direction);
    }
  }
  PointsD points(static_cast<Eigen::Index>(hits.size()), 3);
  for (Eigen::Index i = 0; i < points.rows(); ++i) points.row(i) = hits[i];
  return points;
}

// Discs by the pixels of an image in which each covers a pixel and parts of its neighbours.
class Occluders {
 public:
  Occluders(const SurfaceDiscs& discs, const Eigen::Vector3d& camera) : discs_(discs), camera_(camera) {
    const double pixel = std::max(discs.radius / (camera.norm() - 1), 1e-6);
    side_ = std::clamp<int64_t>(static_cast<int64_t>(2 * camera_.half_width / pixel), 1, kMaxSide);
    cells_.resize(side_ * side_);
    for (Eigen::Index j = 0; j < discs.centres.rows(); ++j) {
      const auto [x, y] = Cell(discs.centres.row(j).cast<double>().transpose());
      cells_[y * side_ + x].push_back(j);
    }
  }

  // Whether the way to the point meets a disc well before it ends.
  bool Hide(const Eigen::Vector3d& point) const {
    const Eigen::Vector3d way = point - camera_.origin;
    const double length = way.norm();
    const Eigen::Vector3d ray = way / length;
    const auto [x, y] = Cell(point);
    for (int64_t v = std::max<int64_t>(y - 1, 0); v <= std::min(y + 1, side_ - 1); ++v) {
      for (int64_t u = std::max<int64_t>(x - 1, 0); u <= std::min(x + 1, side_ - 1); ++u) {
        for (const Eigen::Index j : cells_[v * side_ + u]) {
          const Eigen::Vector3d centre = discs_.centres.row(j).cast<double>().transpose();
          const Eigen::Vector3d normal = discs_.normals.row(j).cast<double>().transpose();
          const double slope = normal.dot(ray);
          // Seen from its edge a disc says little of the depth.
          if (std::abs(slope) < 0.05) continue;
          const double left = length - normal.dot(centre - camera_.origin) / slope;
          const Eigen::Vector3d off = point - left * ray - centre;
          const bool meets = off.squaredNorm() <= discs_.radius * discs_.radius;
          // A point of the disc's own surface can lie a little under it where that is bent.
          if (meets && left * std::abs(slope) > discs_.radius / 4) return true;
        }
      }
    }
    return false;
  }

 private:
  std::pair<int64_t, int64_t> Cell(const Eigen::Vector3d& point) const {
    const Eigen::Vector3d seen = camera_.rows * (point - camera_.origin);
    const auto cell = [&](double x) {
      const double at = (x / seen[2] / camera_.half_width + 1) * 0.5 * static_cast<double>(side_);
      return static_cast<int64_t>(std::clamp(at, 0.0, static_cast<double>(side_) - 1));
    };
    return {cell(seen[0]), cell(seen[1])};
  }

  const SurfaceDiscs& discs_;
  const Pinhole camera_;
  int64_t side_;
  std::vector<std::vector<Eigen::Index>> cells_;
};

PointsD Take(const PointsD& points, const std::vector<int64_t>& rows) {
  PointsD taken(static_cast<Eigen::Index>(rows.size()), 3);
  for (Eigen::Index i = 0; i < taken.rows(); ++i) taken.row(i) = points.row(rows[i]);
  return taken;
}

int64_t HowManyStay(int64_t n, double ratio) {
  return std::max<int64_t>(1, n - static_cast<int64_t>(std::nearbyint(ratio * static_cast<double>(n))));
}

// Rows in their order without the share that lies farthest in the direction.
std::vector<int64_t> Crop(const PointsD& points, const Eigen::Vector3d& direction, double ratio) {
  std::vector<int64_t> rows(points.rows());
  std::iota(rows.begin(), rows.end(), 0);
  const Eigen::VectorXd along = points * direction;
  std::stable_sort(rows.begin(), rows.end(), [&](int64_t a, int64_t b) { return along[a] < along[b]; });
  rows.resize(HowManyStay(points.rows(), ratio));
  std::sort(rows.begin(), rows.end());
  return rows;
}

}  // namespace

Eigen::Vector3d RandomCamera(double radius, NumpyRandomState& random) {
  const double z = random.Uniform(-1, 1), azimuth = random.Uniform(0, 2 * std::numbers::pi);
  const double flat = std::sqrt(std::max(0.0, 1 - z * z));
  return radius * Eigen::Vector3d(flat * std::cos(azimuth), flat * std::sin(azimuth), z);
}

PointsD SeeMesh(const TriangleScene& scene, const Eigen::Vector3d& camera, int64_t at_least) {
  const Pinhole pinhole(camera);
  int64_t side = 64;
  while (true) {
    PointsD points = SeeAt(scene, pinhole, side);
    if (points.rows() >= at_least || side >= kMaxSide) return points;
    // What is hit grows with the pixels; a fifth more, so that once more is enough.
    const double found = std::max<double>(static_cast<double>(points.rows()), 1);
    const double factor = std::sqrt(1.2 * static_cast<double>(at_least) / found);
    side = std::min(kMaxSide, static_cast<int64_t>(std::ceil(factor * static_cast<double>(side))));
  }
}

PointsD SeePoints(const PointsD& points, const SurfaceDiscs& discs, const Eigen::Vector3d& camera) {
  const Occluders occluders(discs, camera);
  std::vector<int64_t> visible;
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    if (!occluders.Hide(points.row(i).transpose())) visible.push_back(i);
  }
  return Take(points, visible);
}

absl::StatusOr<SurfaceDiscs> MakeDiscs(PointsF centres, PointsF normals) {
  MF_ASSIGN_OR_RETURN(const NearestPoints nearest, NearestPoints::Create(centres));
  double sum = 0;
  for (Eigen::Index i = 0; i < centres.rows(); ++i) {
    sum += std::sqrt(nearest.KNearest(centres.row(i).data(), 2).back().squared_distance);
  }
  // Of points strewn at random the nearest is half as far as on a lattice of their density; discs of twice
  // its step leave a gap once in 10^5.
  const double step = 2 * sum / static_cast<double>(centres.rows());
  return SurfaceDiscs{std::move(centres), std::move(normals), 2 * step};
}

SimulatedScan Sense(const PointsD& visible, const Eigen::Vector3d& camera, const SensorOptions& options,
                    NumpyRandomState& random) {
  const Eigen::Vector3d direction = RandomCamera(1, random);
  PointsD points = Take(visible, Crop(visible, direction, options.crop_ratio));
  std::vector<int64_t> kept = random.Permutation(points.rows());
  kept.resize(HowManyStay(points.rows(), options.drop_ratio));
  std::sort(kept.begin(), kept.end());
  points = Take(points, kept);

  SimulatedScan scan;
  scan.num_observed = points.rows();
  points = Take(points, PickScanPoints(points.rows(), options.n_points, random));
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    const Eigen::Vector3d ray = points.row(i).transpose() - camera;
    points.row(i) += (options.noise_sigma * random.Normal() / ray.norm()) * ray.transpose();
  }
  scan.points = points.cast<float>();
  return scan;
}

}  // namespace manyform

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <utility>
#include <vector>

#include "Eigen/Dense"
#include "Eigen/Geometry"
#include "data/duplicate_shapes.h"
#include "geometry/nearest.h"

namespace manyform {
namespace {

using Eigen::Matrix3d;
using Eigen::Vector3d;

// Alignments are tried with few points and steps first, and the better ones with more; what is then still far
// apart will not meet.
struct Stage {
  int64_t points;
  int steps;
  size_t kept;
};
constexpr Stage kCoarse = {64, 2, 8}, kMedium = {160, 8, 2};
constexpr int kFineSteps = 40;
constexpr double kHopeless = 1.7;
// Eigenvalues closer than this, relative to the larger, leave their axes free.
constexpr double kFreeAxes = 0.12;
constexpr double kTailQuantile = 0.995;

struct Spacing {
  double mean = 0, tail = 0;
};

Spacing SpacingOf(std::vector<double> distances) {
  Spacing spacing;
  for (const double d : distances) spacing.mean += d / static_cast<double>(distances.size());
  const auto at =
      distances.begin() + static_cast<int64_t>(kTailQuantile * static_cast<double>(distances.size() - 1));
  std::nth_element(distances.begin(), at, distances.end());
  spacing.tail = *at;
  return spacing;
}

// Distinct finite points about their centroid at unit root mean square radius, searchable.
class Surface {
 public:
  explicit Surface(const PointsFRef& cloud) {
    std::vector<std::array<float, 3>> rows;
    const int64_t n = cloud.rows(), m = std::min(n, kMatchPoints);
    for (int64_t i = 0; i < m; ++i) {
      const auto row = cloud.row(i * n / m);
      if (row.allFinite()) rows.push_back({row[0], row[1], row[2]});
    }
    std::vector<std::array<float, 3>> sorted = rows;
    std::sort(sorted.begin(), sorted.end());
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    points_ = Eigen::Map<const PointsF>(sorted.empty() ? nullptr : sorted[0].data(),
                                        static_cast<int64_t>(sorted.size()), 3)
                  .cast<double>();
    if (points_.rows() < kFewestMatchPoints) return;
    points_.rowwise() -= points_.colwise().mean().eval();
    const double rms = std::sqrt(points_.squaredNorm() / static_cast<double>(points_.rows()));
    if (!(rms > 1e-9)) return;
    points_ /= rms;
    auto nearest = NearestPoints::Create(points_.cast<float>());
    if (!nearest.ok()) return;
    nearest_.emplace(*std::move(nearest));
    const Eigen::SelfAdjointEigenSolver<Matrix3d> solver(points_.transpose() * points_);
    axes_ = solver.eigenvectors();
    if (axes_.determinant() < 0) axes_.col(0) *= -1;
    values_ = solver.eigenvalues();
  }
  bool ok() const { return nearest_.has_value(); }
  const PointsD& points() const { return points_; }
  // NOLINTBEGIN(bugprone-unchecked-optional-access): callers have asked ok().
  const NearestPoints& nearest() const { return *nearest_; }
  const Matrix3d& axes() const { return axes_; }  // columns, smallest eigenvalue first
  const Vector3d& values() const { return values_; }
  // From a point to the nearest other one, for every `stride`-th point.
  Spacing Within(int64_t stride) const {
    std::vector<double> distances;
    distances.reserve(points_.rows() / stride + 1);
    for (int64_t i = 0; i < points_.rows(); i += stride) {
      const Eigen::Vector3f p = points_.row(i).cast<float>();
      distances.push_back(std::sqrt(nearest_->KNearest(p.data(), 2)[1].squared_distance));
    }
    return SpacingOf(std::move(distances));
  }
  // NOLINTEND(bugprone-unchecked-optional-access)

 private:
  PointsD points_;
  std::optional<NearestPoints> nearest_;
  Matrix3d axes_;
  Vector3d values_;
};

// x -> scale * rotation * x + shift.
struct Motion {
  Matrix3d rotation = Matrix3d::Identity();
  double scale = 1;
  Vector3d shift = Vector3d::Zero();
  Vector3d Apply(const Vector3d& x) const { return scale * (rotation * x) + shift; }
  Motion Inverse() const {
    const Matrix3d back = rotation.transpose();
    return {back, 1 / scale, -(back * shift) / scale};
  }
};

// Distances of the moved points of `from` to `to`, every `stride`-th point; the partners if asked for.
std::vector<double> Distances(const Surface& from, const Surface& to, const Motion& motion, int64_t stride,
                              std::vector<int64_t>* partners = nullptr) {
  std::vector<double> distances;
  for (int64_t i = 0; i < from.points().rows(); i += stride) {
    const Eigen::Vector3f p = motion.Apply(from.points().row(i)).cast<float>();
    const NearestPoints::Neighbour near = to.nearest().Nearest(p.data());
    distances.push_back(std::sqrt(near.squared_distance));
    if (partners != nullptr) partners->push_back(near.index);
  }
  return distances;
}

// Iterated closest points from `motion`; returns the last mean distance. Scale may move by 3 %: that is what
// two samples' normalisations can differ by.
double Refine(const Surface& from, const Surface& to, int64_t stride, int steps, Motion* motion) {
  double last = INFINITY;
  for (int step = 0; step < steps; ++step) {
    std::vector<int64_t> partners;
    const double mean = SpacingOf(Distances(from, to, *motion, stride, &partners)).mean;
    if (mean > last * (1 - 1e-5)) return std::min(mean, last);
    last = mean;
    Eigen::Matrix3Xd source(3, partners.size()), target(3, partners.size());
    for (size_t k = 0; k < partners.size(); ++k) {
      source.col(k) = from.points().row(static_cast<int64_t>(k) * stride);
      target.col(k) = to.points().row(partners[k]);
    }
    const Eigen::Matrix4d best = Eigen::umeyama(source, target, true);
    const double scale = std::cbrt(std::max(best.topLeftCorner<3, 3>().determinant(), 0.0));
    if (!(scale > 1e-6)) return last;
    motion->rotation = best.topLeftCorner<3, 3>() / scale;
    motion->scale = std::clamp(scale, 0.97, 1.03);
    motion->shift = target.rowwise().mean() - motion->scale * (motion->rotation * source.rowwise().mean());
  }
  return SpacingOf(Distances(from, to, *motion, stride)).mean;
}

// Rotations about a principal axis (in the eigenvectors' own frame), evenly spaced over half a turn: the
// other half comes with the signs of the axes.
void AddTurns(const Vector3d& axis, int count, std::vector<Matrix3d>* turns) {
  for (int k = 0; k < count; ++k) {
    turns->emplace_back(Eigen::AngleAxisd(k * std::numbers::pi / count, axis));
  }
}

// Evenly spread over all rotations (Alexa, "Super-Fibonacci spirals", 2022).
std::vector<Matrix3d> SpreadRotations(int count) {
  const double phi = std::numbers::sqrt2, psi = 1.533751168755204288118041;
  std::vector<Matrix3d> rotations;
  for (int i = 0; i < count; ++i) {
    const double s = i + 0.5, t = s / count, a = 2 * std::numbers::pi * s / phi,
                 b = 2 * std::numbers::pi * s / psi;
    const double r = std::sqrt(t), q = std::sqrt(1 - t);
    rotations.push_back(Eigen::Quaterniond(q * std::cos(b), r * std::sin(a), r * std::cos(a), q * std::sin(b))
                            .toRotationMatrix());
  }
  return rotations;
}

std::vector<Matrix3d> Starts(const Surface& a, const Surface& b) {
  const Vector3d values = (a.values() + b.values()) / 2;
  const bool low = values[1] - values[0] < kFreeAxes * values[1],
             high = values[2] - values[1] < kFreeAxes * values[2];
  if (low && high) return SpreadRotations(96);
  std::vector<Matrix3d> turns;
  if (low || high) {
    AddTurns(Vector3d::Unit(low ? 2 : 0), 8, &turns);
  } else {
    turns.push_back(Matrix3d::Identity());
  }
  std::vector<Matrix3d> starts;
  for (const Vector3d& signs :
       {Vector3d(1, 1, 1), Vector3d(1, -1, -1), Vector3d(-1, 1, -1), Vector3d(-1, -1, 1)}) {
    for (const Matrix3d& turn : turns)
      starts.emplace_back(b.axes() * signs.asDiagonal() * turn * a.axes().transpose());
  }
  return starts;
}

SurfaceMatch Judge(const Surface& a, const Surface& b, const Motion& motion) {
  const Spacing there = SpacingOf(Distances(a, b, motion, 1)),
                back = SpacingOf(Distances(b, a, motion.Inverse(), 1));
  const Spacing in_a = a.Within(1), in_b = b.Within(1);
  SurfaceMatch match;
  match.spacing = std::max(there.mean / in_b.mean, back.mean / in_a.mean);
  match.tail = std::max(there.tail / in_b.tail, back.tail / in_a.tail);
  const double points = static_cast<double>(std::min({a.points().rows(), b.points().rows(), int64_t{1024}}));
  match.same = match.spacing <= 1 + kSameExcess * std::sqrt(1024 / points) && match.tail <= kSameTail;
  return match;
}

}  // namespace

SurfaceMatch CompareSurfaces(const PointsFRef& first, const PointsFRef& second) {
  const Surface a(first), b(second);
  SurfaceMatch best{INFINITY, INFINITY, false};
  if (!a.ok() || !b.ok()) return best;
  const double spacing = b.Within(std::max<int64_t>(1, b.points().rows() / kMedium.points)).mean;
  std::vector<std::pair<double, Motion>> candidates;
  for (const Matrix3d& start : Starts(a, b)) candidates.emplace_back(0, Motion{start});
  for (const Stage& stage : {kCoarse, kMedium}) {
    const int64_t stride = std::max<int64_t>(1, a.points().rows() / stage.points);
    for (auto& [mean, motion] : candidates) mean = Refine(a, b, stride, stage.steps, &motion);
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const auto& x, const auto& y) { return x.first < y.first; });
    if (candidates.size() > stage.kept) candidates.resize(stage.kept);
  }
  for (auto& [mean, motion] : candidates) {
    SurfaceMatch match{mean / spacing, INFINITY, false};
    if (match.spacing <= kHopeless) {
      Refine(a, b, 1, kFineSteps, &motion);
      match = Judge(a, b, motion);
    }
    if (match.spacing < best.spacing) best = match;
    if (best.same) break;
  }
  return best;
}

}  // namespace manyform

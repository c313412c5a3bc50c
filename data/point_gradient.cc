#include "data/point_gradient.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace manyform {
namespace {

// Coordinate by coordinate, so that a loop over all hits takes many at a time.
class HitColumns {
 public:
  explicit HitColumns(const Hits& hits) : columns_(hits.xyz.rows() * 3), distance_(hits.xyz.rows()) {
    for (Eigen::Index i = 0; i < hits.xyz.rows(); ++i) {
      for (int k = 0; k < 3; ++k) columns_[k * hits.xyz.rows() + i] = hits.xyz(i, k);
    }
  }
  // Squared distances of all hits from a point, until the next call.
  std::span<const float> From(const float* p) {
    const size_t n = distance_.size();
    const float *x = columns_.data(), *y = x + n, *z = y + n;
    for (size_t i = 0; i < n; ++i) {
      const float dx = x[i] - p[0], dy = y[i] - p[1], dz = z[i] - p[2];
      distance_[i] = (dx * dx + dy * dy) + dz * dz;
    }
    return distance_;
  }

 private:
  std::vector<float> columns_, distance_;
};

}  // namespace

Hits HitsOf(const PointsF& origins, const PointsF& directions, const PointsF& normals,
            std::span<const float> hit, std::span<const float> t) {
  Hits hits;
  for (size_t i = 0; i < hit.size(); ++i) {
    if (hit[i] > 0.5f) hits.rays.push_back(static_cast<int64_t>(i));
  }
  const auto n = static_cast<Eigen::Index>(hits.rays.size());
  hits.xyz.resize(n, 3);
  hits.normals.resize(n, 3);
  hits.directions.resize(n, 3);
  for (Eigen::Index i = 0; i < n; ++i) {
    const int64_t ray = hits.rays[i];
    hits.xyz.row(i) = origins.row(ray) + t[ray] * directions.row(ray);
    hits.normals.row(i) = normals.row(ray);
    hits.directions.row(i) = directions.row(ray);
  }
  return hits;
}

PointGradients GradientsAt(const PointsF& points, std::span<const float> distances, const Hits& hits,
                           const GradientOptions& options) {
  PointGradients out{PointsF::Zero(points.rows(), 3), std::vector<float>(points.rows())};
  if (hits.rays.empty()) return out;
  HitColumns columns(hits);
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    const std::span<const float> from = columns.From(points.row(i).data());
    const auto nearest = std::min_element(from.begin(), from.end()) - from.begin();
    Eigen::RowVector3f g = hits.normals.row(nearest);
    if (options.against_ray && g.dot(hits.directions.row(nearest)) > 0) g = -g;
    if (options.inverse_distance) g *= 1.0f / std::max(distances[i], static_cast<float>(options.eps));
    if (options.clip > 0) g *= std::min(1.0f, static_cast<float>(options.clip) / (g.norm() + 1e-12f));
    out.vectors.row(i) = g;
    out.norms[i] = g.norm();
  }
  return out;
}

std::vector<float> NormalUncertainty(const Hits& hits, int64_t rays, int64_t k) {
  std::vector<float> uncertainty(rays);
  const auto n = static_cast<int64_t>(hits.rays.size());
  k = std::min(k, n);
  if (n < 2 || k < 1) return uncertainty;
  HitColumns columns(hits);
  std::vector<std::pair<float, int64_t>> nearest(n);
  for (int64_t i = 0; i < n; ++i) {
    const std::span<const float> from = columns.From(hits.xyz.row(i).data());
    for (int64_t j = 0; j < n; ++j) nearest[j] = {from[j], j};
    std::nth_element(nearest.begin(), nearest.begin() + (k - 1), nearest.end());
    float sum = 0;
    for (int64_t j = 0; j < k; ++j) {
      sum += std::abs(hits.normals.row(i).dot(hits.normals.row(nearest[j].second)));
    }
    uncertainty[hits.rays[i]] = 1 - sum / static_cast<float>(k);
  }
  return uncertainty;
}

}  // namespace manyform

#include "data/duplicate_shapes.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "Eigen/Eigenvalues"

namespace manyform {
namespace {

constexpr int64_t kShifts = 256;
constexpr float kMaxRadius = 3.2f, kMaxDistance = 4.8f;

using Histogram = std::array<float, ShapeSignature::kBins>;

// `points` evenly spaced rows, finite ones only.
PointsF Thinned(const PointsFRef& cloud, int64_t points) {
  const int64_t n = cloud.rows(), m = std::min(n, points);
  PointsF rows(m, 3);
  int64_t kept = 0;
  for (int64_t i = 0; i < m; ++i) {
    const auto row = cloud.row(i * n / m);
    if (row.allFinite()) rows.row(kept++) = row;
  }
  rows.conservativeResize(kept, 3);
  return rows;
}

// To the centroid and unit root mean square radius; false if there is no
// extent.
bool Normalize(PointsF* points) {
  if (points->rows() < 2) return false;
  const Eigen::Vector3d centre = points->cast<double>().colwise().mean();
  const double rms = std::sqrt((points->cast<double>().rowwise() - centre.transpose()).squaredNorm() /
                               static_cast<double>(points->rows()));
  if (!(rms > 1e-9)) return false;
  *points = ((points->cast<double>().rowwise() - centre.transpose()) / rms).cast<float>();
  return true;
}

// Of `count` points from `i` on to as many from `j` on.
Eigen::ArrayXf DistancesOf(const Eigen::ArrayXf& x, const Eigen::ArrayXf& y, const Eigen::ArrayXf& z,
                           int64_t i, int64_t j, int64_t count) {
  return ((x.segment(i, count) - x.segment(j, count)).square() +
          (y.segment(i, count) - y.segment(j, count)).square() +
          (z.segment(i, count) - z.segment(j, count)).square())
      .sqrt();
}

void Count(float value, float max, Histogram* histogram) {
  const int bin = static_cast<int>(value * (ShapeSignature::kBins / max));
  ++(*histogram)[std::clamp(bin, 0, ShapeSignature::kBins - 1)];
}

void Accumulate(Histogram* histogram) {
  std::partial_sum(histogram->begin(), histogram->end(), histogram->begin());
  const float total = histogram->back();
  for (float& v : *histogram) v /= total;
}

// Wasserstein's distance of two distributions up to `max`: how far mass must
// move. It stays small where one that is concentrated moves a little, as
// normalisation by samples makes it.
float Distance(const Histogram& a, const Histogram& b, float max) {
  float sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]);
  return sum * max / ShapeSignature::kBins;
}

// Standard deviation of the difference of two means, in units of one sample's.
float SamplingSpread(const ShapeSignature& a, const ShapeSignature& b) {
  return std::sqrt(1.0f / static_cast<float>(a.points) + 1.0f / static_cast<float>(b.points));
}

// In units of SamplingSpread. Repeated samples of one surface stay below 1.2,
// 0.7, 0.9, 0.6 and 0.6 (duplicate_shapes_test).
constexpr float kShareSpread = 1.5f, kSecondShareSpread = 1.1f, kRadiusSpread = 1.0f, kDistanceSpread = 0.7f,
                kEccentricitySpread = 0.75f;

}  // namespace

ShapeSignature SignatureOf(const PointsFRef& cloud) {
  ShapeSignature signature;
  PointsF points = Thinned(cloud, kSignaturePoints);
  if (!Normalize(&points)) return signature;
  const int64_t n = points.rows();
  signature.points = n;
  const Eigen::Matrix3d covariance = points.cast<double>().transpose() * points.cast<double>();
  const Eigen::Vector3d values = Eigen::SelfAdjointEigenSolver<Eigen::Matrix3d>(covariance).eigenvalues();
  signature.shares = {static_cast<float>(values[2] / values.sum()),
                      static_cast<float>(values[1] / values.sum())};

  // Every point with the same number of others, evenly spaced in the cloud's
  // order: that the pairs are not all says less than that the points are few.
  // By shifts, so that distances are formed eight at a time.
  const Eigen::ArrayXf x = points.col(0), y = points.col(1), z = points.col(2);
  Eigen::ArrayXf sums = Eigen::ArrayXf::Zero(n), row(n);
  const int64_t half = n / 2, shifts = std::min(half, kShifts);
  for (int64_t k = 0; k < shifts; ++k) {
    const int64_t shift = 1 + k * half / shifts, rest = n - shift;
    row.head(rest) = DistancesOf(x, y, z, 0, shift, rest);
    row.tail(shift) = DistancesOf(x, y, z, rest, 0, shift);
    for (const float d : row) Count(d, kMaxDistance, &signature.distances);
    sums += row;
    sums.tail(rest) += row.head(rest);
    sums.head(shift) += row.tail(shift);
  }
  for (int64_t i = 0; i < n; ++i) {
    Count(sums[i] / static_cast<float>(2 * shifts), kMaxRadius, &signature.eccentricities);
    Count(points.row(i).norm(), kMaxRadius, &signature.radii);
  }
  Accumulate(&signature.distances);
  Accumulate(&signature.eccentricities);
  Accumulate(&signature.radii);
  return signature;
}

bool MayBeSameShape(const ShapeSignature& a, const ShapeSignature& b) {
  if (a.points == 0 || b.points == 0) return false;
  const float spread = SamplingSpread(a, b);
  return std::abs(a.shares[0] - b.shares[0]) <= kShareSpread * spread &&
         std::abs(a.shares[1] - b.shares[1]) <= kSecondShareSpread * spread &&
         Distance(a.distances, b.distances, kMaxDistance) <= kDistanceSpread * spread &&
         Distance(a.radii, b.radii, kMaxRadius) <= kRadiusSpread * spread &&
         Distance(a.eccentricities, b.eccentricities, kMaxRadius) <= kEccentricitySpread * spread;
}

std::vector<std::pair<int32_t, int32_t>> LikePairs(std::span<const ShapeSignature> a,
                                                   std::span<const ShapeSignature> b) {
  std::vector<int32_t> order;
  int64_t fewest = kSignaturePoints;
  for (size_t j = 0; j < b.size(); ++j) {
    if (b[j].points == 0) continue;
    order.push_back(static_cast<int32_t>(j));
    fewest = std::min(fewest, b[j].points);
  }
  std::sort(order.begin(), order.end(),
            [&](int32_t i, int32_t j) { return b[i].shares[0] < b[j].shares[0]; });
  std::vector<std::pair<int32_t, int32_t>> pairs;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].points == 0) continue;
    ShapeSignature coarsest;
    coarsest.points = fewest;
    const float reach = kShareSpread * SamplingSpread(a[i], coarsest);
    const auto first = std::lower_bound(order.begin(), order.end(), a[i].shares[0] - reach,
                                        [&](int32_t j, float share) { return b[j].shares[0] < share; });
    for (auto it = first; it != order.end() && b[*it].shares[0] <= a[i].shares[0] + reach; ++it) {
      if (MayBeSameShape(a[i], b[*it])) pairs.emplace_back(static_cast<int32_t>(i), *it);
    }
  }
  std::sort(pairs.begin(), pairs.end());
  return pairs;
}

}  // namespace manyform

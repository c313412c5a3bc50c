#include "geometry/nearest.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "nanoflann.hpp"

namespace manyform {
namespace {

using Neighbour = NearestPoints::Neighbour;

// Coordinates are handed out as double, so that differences are taken in double.
struct Cloud {
  PointsF points;
  size_t kdtree_get_point_count() const { return points.rows(); }
  double kdtree_get_pt(size_t row, size_t axis) const { return points(row, axis); }
  template <class Box>
  bool kdtree_get_bbox(Box&) const {
    return false;
  }
};

bool Before(const Neighbour& a, const Neighbour& b) {
  return a.squared_distance < b.squared_distance ||
         (a.squared_distance == b.squared_distance && a.index < b.index);
}

// nanoflann offers a result set only points strictly nearer than worstDist(); to see equally near ones, whose
// index may be smaller, the bound is the next larger number.
double JustAbove(double d) { return std::nextafter(d, std::numeric_limits<double>::infinity()); }

class OneNearest {
 public:
  using DistanceType = double;
  bool full() const { return true; }
  size_t size() const { return 1; }
  double worstDist() const { return bound_; }
  bool addPoint(double distance, size_t index) {
    if (const Neighbour found{static_cast<int64_t>(index), distance}; Before(found, best_)) {
      best_ = found;
      bound_ = JustAbove(distance);
    }
    return true;
  }
  Neighbour best() const { return best_; }

 private:
  Neighbour best_{std::numeric_limits<int64_t>::max(), std::numeric_limits<double>::infinity()};
  double bound_ = std::numeric_limits<double>::infinity();
};

class SomeNearest {
 public:
  using DistanceType = double;
  explicit SomeNearest(size_t k) : k_(k) { found_.reserve(k + 1); }
  bool full() const { return found_.size() == k_; }
  size_t size() const { return found_.size(); }
  double worstDist() const {
    return full() ? JustAbove(found_.back().squared_distance) : std::numeric_limits<double>::infinity();
  }
  bool addPoint(double distance, size_t index) {
    const Neighbour found{static_cast<int64_t>(index), distance};
    found_.insert(std::lower_bound(found_.begin(), found_.end(), found, Before), found);
    if (found_.size() > k_) found_.pop_back();
    return true;
  }
  std::vector<Neighbour> Take() { return std::move(found_); }

 private:
  size_t k_;
  std::vector<Neighbour> found_;
};

}  // namespace

struct NearestPoints::Impl {
  using Tree = nanoflann::KDTreeSingleIndexAdaptor<nanoflann::L2_Simple_Adaptor<double, Cloud>, Cloud, 3>;
  explicit Impl(const PointsFRef& points)
      : cloud{points}, tree(3, cloud, nanoflann::KDTreeSingleIndexAdaptorParams(10)) {}
  Cloud cloud;
  Tree tree;
};

NearestPoints::NearestPoints(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NearestPoints::NearestPoints(NearestPoints&&) noexcept = default;
NearestPoints& NearestPoints::operator=(NearestPoints&&) noexcept = default;
NearestPoints::~NearestPoints() = default;

absl::StatusOr<NearestPoints> NearestPoints::Create(const PointsFRef& points) {
  if (points.rows() == 0) return absl::InvalidArgumentError("nearest neighbours need at least one point");
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    if (!points.row(i).allFinite()) {
      return absl::InvalidArgumentError(absl::StrFormat("point %d is not finite", i));
    }
  }
  return NearestPoints(std::make_unique<Impl>(points));
}

int64_t NearestPoints::size() const { return impl_->cloud.points.rows(); }

NearestPoints::Neighbour NearestPoints::Nearest(const float* xyz) const {
  const double query[3] = {xyz[0], xyz[1], xyz[2]};
  if (!std::isfinite(query[0] + query[1] + query[2])) return {0, std::numeric_limits<double>::quiet_NaN()};
  OneNearest result;
  impl_->tree.findNeighbors(result, query, nanoflann::SearchParams());
  return result.best();
}

std::vector<int32_t> NearestPoints::Indices(const PointsFRef& queries) const {
  std::vector<int32_t> indices(queries.rows());
  for (Eigen::Index i = 0; i < queries.rows(); ++i) {
    indices[i] = static_cast<int32_t>(Nearest(queries.row(i).data()).index);
  }
  return indices;
}

std::vector<float> NearestPoints::Distances(const PointsFRef& queries) const {
  std::vector<float> distances(queries.rows());
  for (Eigen::Index i = 0; i < queries.rows(); ++i) {
    distances[i] = static_cast<float>(std::sqrt(Nearest(queries.row(i).data()).squared_distance));
  }
  return distances;
}

std::vector<NearestPoints::Neighbour> NearestPoints::KNearest(const float* xyz, int64_t k) const {
  const double query[3] = {xyz[0], xyz[1], xyz[2]};
  k = std::min(k, size());
  if (k <= 0 || !std::isfinite(query[0] + query[1] + query[2])) return {};
  SomeNearest result(k);
  impl_->tree.findNeighbors(result, query, nanoflann::SearchParams());
  return result.Take();
}

}  // namespace manyform

#include "geometry/nearest.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "geometry/morton.h"

namespace manyform {
namespace {

using Neighbour = NearestPoints::Neighbour;

// Beyond this, squares of single-precision distances may overflow.
constexpr float kLargest = 1e15f;
// Bounds formed in single precision are good to a few roundings; this is many.
constexpr float kSlack = 1e-5f;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool Before(const Neighbour& a, const Neighbour& b) {
  return a.squared_distance < b.squared_distance ||
         (a.squared_distance == b.squared_distance && a.index < b.index);
}

// What a search has found: Reach() bounds what may still improve it, ties included.
class OneNearest {
 public:
  OneNearest() = default;
  explicit OneNearest(const Neighbour& known) : best_(known), reach_(ReachOf(known.squared_distance)) {}
  float Reach() const { return reach_; }
  void Offer(const Neighbour& found) {
    if (!Before(found, best_)) return;
    best_ = found;
    reach_ = ReachOf(found.squared_distance);
  }
  const Neighbour& best() const { return best_; }
  static float ReachOf(double squared) {
    return static_cast<float>(squared) * (1 + kSlack) + std::numeric_limits<float>::min();
  }

 private:
  Neighbour best_{std::numeric_limits<int64_t>::max(), kInfinity};
  float reach_ = std::numeric_limits<float>::infinity();
};

class SomeNearest {
 public:
  explicit SomeNearest(size_t k) : k_(k) { found_.reserve(k + 1); }
  float Reach() const {
    return found_.size() == k_ ? OneNearest::ReachOf(found_.back().squared_distance)
                               : std::numeric_limits<float>::infinity();
  }
  void Offer(const Neighbour& found) {
    found_.insert(std::upper_bound(found_.begin(), found_.end(), found, Before), found);
    if (found_.size() > k_) found_.pop_back();
  }
  std::vector<Neighbour> Take() { return std::move(found_); }

 private:
  size_t k_;
  std::vector<Neighbour> found_;
};

}  // namespace

// A tree of boxes, eight to a node and sixteen points to a leaf, so that a step of the search is a few vector
// instructions. Single precision decides what to look at, double what is nearest.
class NearestPoints::Impl {
 public:
  explicit Impl(const PointsFRef& points) : points_(points) {
    huge_ = points_.cwiseAbs().maxCoeff() > kLargest;
    order_.resize(points_.rows());
    for (size_t i = 0; i < order_.size(); ++i) order_[i] = static_cast<int32_t>(i);
    leaves_.reserve(order_.size() / kLeafSize + 1);
    root_ = Build(0, static_cast<int32_t>(order_.size()));
  }
  const PointsF& points() const { return points_; }

  Neighbour Measure(const float* q, int32_t index) const {
    const double dx = static_cast<double>(q[0]) - points_(index, 0),
                 dy = static_cast<double>(q[1]) - points_(index, 1),
                 dz = static_cast<double>(q[2]) - points_(index, 2);
    return {index, (dx * dx + dy * dy) + dz * dz};
  }

  // A near neighbour, to start from. \pre q is finite, here and below
  Neighbour Guess(const float* q) const {
    const Leaf& leaf = FirstLeaf(q);
    const Lanes<kLeafSize> dx = leaf.x - q[0], dy = leaf.y - q[1], dz = leaf.z - q[2];
    Eigen::Index nearest;
    (dx * dx + dy * dy + dz * dz).minCoeff(&nearest);
    return Measure(q, leaf.index[nearest]);
  }

  template <class Found>
  void Search(const float* q, Found& found) const {
    if (huge_ || std::max({std::abs(q[0]), std::abs(q[1]), std::abs(q[2])}) > kLargest) {
      for (const int32_t i : order_) found.Offer(Measure(q, i));
    } else {
      Visit(root_, q, found);
    }
  }

 private:
  static constexpr int kChildren = 8, kLeafSize = 16;
  template <int n>
  using Lanes = Eigen::Array<float, n, 1>;
  struct Leaf {
    Lanes<kLeafSize> x, y, z;
    std::array<int32_t, kLeafSize> index;
    int count;
  };
  struct Node {
    Lanes<kChildren> low[3], high[3];
    std::array<int32_t, kChildren> child;  // a node, or ~leaf
    int count = 0;
  };

  int32_t Build(int32_t begin, int32_t end) {
    if (end - begin <= kLeafSize) return BuildLeaf(begin, end);
    std::vector<std::pair<int32_t, int32_t>> parts;
    Split(begin, end, kChildren, &parts);
    const int32_t node = static_cast<int32_t>(nodes_.size());
    nodes_.emplace_back();
    for (int k = 0; k < 3; ++k) nodes_[node].low[k] = nodes_[node].high[k] = 0;
    for (const auto& [from, to] : parts) {
      const int32_t child = Build(from, to);
      Node& n = nodes_[node];
      for (int k = 0; k < 3; ++k) {
        float low = points_(order_[from], k), high = low;
        for (int32_t i = from; i < to; ++i) {
          low = std::min(low, points_(order_[i], k));
          high = std::max(high, points_(order_[i], k));
        }
        n.low[k][n.count] = low;
        n.high[k][n.count] = high;
      }
      n.child[n.count++] = child;
    }
    return node;
  }

  int32_t BuildLeaf(int32_t begin, int32_t end) {
    Leaf leaf;
    leaf.count = end - begin;
    leaf.x = leaf.y = leaf.z = std::numeric_limits<float>::infinity();
    leaf.index.fill(0);
    for (int i = 0; i < leaf.count; ++i) {
      const int32_t index = order_[begin + i];
      leaf.x[i] = points_(index, 0);
      leaf.y[i] = points_(index, 1);
      leaf.z[i] = points_(index, 2);
      leaf.index[i] = index;
    }
    leaves_.push_back(leaf);
    return ~static_cast<int32_t>(leaves_.size() - 1);
  }

  // Halves the range at the widest side, whole leaves to either half, until there are `parts`.
  void Split(int32_t begin, int32_t end, int parts, std::vector<std::pair<int32_t, int32_t>>* out) {
    const int32_t leaves = (end - begin + kLeafSize - 1) / kLeafSize;
    if (parts == 1 || leaves == 1) {
      out->push_back({begin, end});
      return;
    }
    Eigen::RowVector3f low = points_.row(order_[begin]), high = low;
    for (int32_t i = begin; i < end; ++i) {
      low = low.cwiseMin(points_.row(order_[i]));
      high = high.cwiseMax(points_.row(order_[i]));
    }
    Eigen::Index axis;
    (high - low).maxCoeff(&axis);
    const int32_t middle = begin + (leaves + 1) / 2 * kLeafSize;
    std::nth_element(order_.begin() + begin, order_.begin() + middle, order_.begin() + end,
                     [&](int32_t a, int32_t b) { return points_(a, axis) < points_(b, axis); });
    Split(begin, middle, parts / 2, out);
    Split(middle, end, parts / 2, out);
  }

  template <class Found>
  void Visit(int32_t at, const float* q, Found& found) const {
    if (at < 0) return VisitLeaf(leaves_[~at], q, found);
    const Node& node = nodes_[at];
    const Lanes<kChildren> distance = DistancesTo(node, q);
    for (int i = 0; i < node.count; ++i) {
      if (distance[i] <= found.Reach()) Visit(node.child[i], q, found);
    }
  }

  static Lanes<kChildren> DistancesTo(const Node& node, const float* q) {
    Lanes<kChildren> distance = Lanes<kChildren>::Zero();
    for (int k = 0; k < 3; ++k) {
      const Lanes<kChildren> gap = (node.low[k] - q[k]).max(q[k] - node.high[k]).max(0.0f);
      distance += gap * gap;
    }
    return distance;
  }

  // The leaf one reaches by always entering the nearest box: its points bound what the search looks at.
  const Leaf& FirstLeaf(const float* q) const {
    int32_t at = root_;
    while (at >= 0) {
      const Node& node = nodes_[at];
      const Lanes<kChildren> distance = DistancesTo(node, q);
      int nearest = 0;
      for (int i = 1; i < node.count; ++i) {
        if (distance[i] < distance[nearest]) nearest = i;
      }
      at = node.child[nearest];
    }
    return leaves_[~at];
  }

  template <class Found>
  void VisitLeaf(const Leaf& leaf, const float* q, Found& found) const {
    const Lanes<kLeafSize> dx = leaf.x - q[0], dy = leaf.y - q[1], dz = leaf.z - q[2];
    const Lanes<kLeafSize> distance = dx * dx + dy * dy + dz * dz;
    if (!(distance.minCoeff() <= found.Reach())) return;
    for (int i = 0; i < leaf.count; ++i) {
      if (distance[i] <= found.Reach()) found.Offer(Measure(q, leaf.index[i]));
    }
  }

  PointsF points_;
  bool huge_;
  std::vector<int32_t> order_;
  std::vector<Node> nodes_;
  std::vector<Leaf> leaves_;
  int32_t root_;
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

int64_t NearestPoints::size() const { return impl_->points().rows(); }

namespace {

bool IsFinite(const float* q) { return std::isfinite(q[0]) && std::isfinite(q[1]) && std::isfinite(q[2]); }

constexpr Neighbour kNoAnswer{0, std::numeric_limits<double>::quiet_NaN()};

}  // namespace

Neighbour NearestPoints::Nearest(const float* xyz) const {
  if (!IsFinite(xyz)) return kNoAnswer;
  OneNearest found(impl_->Guess(xyz));
  impl_->Search(xyz, found);
  return found.best();
}

template <class Answer>
void NearestPoints::ForEach(const PointsFRef& queries, Answer answer) const {
  int32_t near = 0;
  // Neighbours one after another: the last answer bounds the next search from its start.
  for (const int32_t i : MortonOrder(queries)) {
    const float* q = queries.row(i).data();
    if (!IsFinite(q)) {
      answer(i, kNoAnswer);
      continue;
    }
    OneNearest found(impl_->Measure(q, near));
    impl_->Search(q, found);
    near = static_cast<int32_t>(found.best().index);
    answer(i, found.best());
  }
}

std::vector<int32_t> NearestPoints::Indices(const PointsFRef& queries) const {
  std::vector<int32_t> indices(queries.rows());
  ForEach(queries, [&](int32_t i, const Neighbour& n) { indices[i] = static_cast<int32_t>(n.index); });
  return indices;
}

std::vector<float> NearestPoints::Distances(const PointsFRef& queries) const {
  std::vector<float> distances(queries.rows());
  ForEach(queries, [&](int32_t i, const Neighbour& n) {
    distances[i] = static_cast<float>(std::sqrt(n.squared_distance));
  });
  return distances;
}

std::vector<Neighbour> NearestPoints::KNearest(const float* xyz, int64_t k) const {
  k = std::min(k, size());
  if (k <= 0 || !IsFinite(xyz)) return {};
  SomeNearest found(k);
  impl_->Search(xyz, found);
  return found.Take();
}

}  // namespace manyform

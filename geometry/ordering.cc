#include "geometry/ordering.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "geometry/morton.h"
#include "geometry/nearest.h"

namespace manyform {
namespace {

float SquaredDistance(const float* p, float x, float y, float z) {
  const float dx = p[0] - x, dy = p[1] - y, dz = p[2] - z;
  return (dx * dx + dy * dy) + dz * dz;
}

// Points of one neighbourhood, with what it takes to see that a new point cannot bring any of them nearer.
struct Block {
  int32_t begin, end;
  float low[3], high[3];
  float farthest;       // largest distance of its points to the chosen set, squared
  int32_t farthest_at;  // the position of the first point (by index) that has it
};

// Farthest point order over points sorted into small blocks.
class BlockedFarthest {
 public:
  explicit BlockedFarthest(const PointsFRef& points);
  void Choose(const float* point);
  int32_t Farthest() const;

 private:
  static constexpr int32_t kBlockSize = 32;
  void Update(Block& block, const float* point);
  // Sorted along the Morton curve, coordinate by coordinate.
  std::vector<int32_t> index_;
  std::vector<float> x_, y_, z_, nearest_;
  std::vector<Block> blocks_;
};

BlockedFarthest::BlockedFarthest(const PointsFRef& points)
    : index_(MortonOrder(points)), nearest_(points.rows(), std::numeric_limits<float>::infinity()) {
  const int32_t n = static_cast<int32_t>(points.rows());
  for (const int32_t i : index_) {
    x_.push_back(points(i, 0));
    y_.push_back(points(i, 1));
    z_.push_back(points(i, 2));
  }
  for (int32_t begin = 0; begin < n; begin += kBlockSize) {
    Block block{begin, std::min(begin + kBlockSize, n),        {},
                {},    std::numeric_limits<float>::infinity(), begin};
    for (int k = 0; k < 3; ++k) {
      const std::vector<float>& c = k == 0 ? x_ : k == 1 ? y_ : z_;
      const auto [low, high] = std::minmax_element(c.begin() + block.begin, c.begin() + block.end);
      block.low[k] = *low;
      block.high[k] = *high;
    }
    blocks_.push_back(block);
  }
}

void BlockedFarthest::Update(Block& block, const float* point) {
  float farthest = -1;
  for (int32_t i = block.begin; i < block.end; ++i) {
    const float dx = x_[i] - point[0], dy = y_[i] - point[1], dz = z_[i] - point[2];
    nearest_[i] = std::min(nearest_[i], (dx * dx + dy * dy) + dz * dz);
    farthest = std::max(farthest, nearest_[i]);
  }
  block.farthest = farthest;
  block.farthest_at = -1;
  for (int32_t i = block.begin; i < block.end; ++i) {
    if (nearest_[i] != farthest) continue;
    if (block.farthest_at < 0 || index_[i] < index_[block.farthest_at]) block.farthest_at = i;
  }
}

void BlockedFarthest::Choose(const float* point) {
  for (Block& block : blocks_) {
    float gap = 0;
    for (int k = 0; k < 3; ++k) {
      const float outside = std::max(0.0f, std::max(block.low[k] - point[k], point[k] - block.high[k]));
      gap += outside * outside;
    }
    // A box's distance bounds that of its points from below but for a few roundings; the margin is many.
    if (gap * (1 - 1e-5f) >= block.farthest && gap > 1e-30f) continue;
    Update(block, point);
  }
}

int32_t BlockedFarthest::Farthest() const {
  const Block* best = &blocks_[0];
  for (const Block& block : blocks_) {
    if (block.farthest > best->farthest ||
        (block.farthest == best->farthest && index_[block.farthest_at] < index_[best->farthest_at])) {
      best = &block;
    }
  }
  return index_[best->farthest_at];
}

}  // namespace

int64_t FarthestFromCentroid(const PointsFRef& points) {
  const Eigen::Index n = points.rows();
  float sum[3] = {0, 0, 0};
  for (Eigen::Index i = 0; i < n; ++i) {
    for (int k = 0; k < 3; ++k) sum[k] += points(i, k);
  }
  for (float& s : sum) s /= static_cast<float>(n);
  int64_t farthest = 0;
  float largest = -1;
  for (Eigen::Index i = 0; i < n; ++i) {
    const float d = SquaredDistance(points.row(i).data(), sum[0], sum[1], sum[2]);
    if (d > largest) {
      largest = d;
      farthest = i;
    }
  }
  return farthest;
}

std::vector<int32_t> FarthestPointOrder(const PointsFRef& points, int64_t k) {
  std::vector<int32_t> order;
  k = std::min<int64_t>(k, points.rows());
  if (k <= 0) return order;
  order.reserve(k);
  order.push_back(static_cast<int32_t>(FarthestFromCentroid(points)));
  BlockedFarthest set(points);
  while (static_cast<int64_t>(order.size()) < k) {
    set.Choose(points.row(order.back()).data());
    order.push_back(set.Farthest());
  }
  return order;
}

absl::StatusOr<std::vector<int32_t>> LatticePick(const PointsFRef& points, int64_t k) {
  MF_ASSIGN_OR_RETURN(const NearestPoints tree, NearestPoints::Create(points));
  int64_t side = 1;
  while (side * side * side < k) ++side;
  std::vector<float> node(side);
  for (int64_t i = 0; i < side; ++i) {
    node[i] =
        i > 0 && i == side - 1 ? 1.0f : static_cast<float>(i * (2.0 / std::max<int64_t>(side - 1, 1)) - 1.0);
  }
  std::vector<int32_t> picked;
  picked.reserve(std::max<int64_t>(k, 0));
  for (int64_t i = 0; i < k; ++i) {
    const float at[3] = {node[i / (side * side)], node[i / side % side], node[i % side]};
    picked.push_back(static_cast<int32_t>(tree.Nearest(at).index));
  }
  return picked;
}

}  // namespace manyform

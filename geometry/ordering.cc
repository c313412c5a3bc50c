#include "geometry/ordering.h"

#include <emmintrin.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
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

__m128 LargestInAll(__m128 v) {
  v = _mm_max_ps(v, _mm_movehl_ps(v, v));
  v = _mm_max_ps(v, _mm_shuffle_ps(v, v, 1));
  return _mm_shuffle_ps(v, v, 0);
}

// Farthest point order over points sorted into small blocks: of each block a box and the largest distance of
// its points to the chosen set, from which one sees that a new point cannot bring any of them nearer.
class BlockedFarthest {
 public:
  explicit BlockedFarthest(const PointsFRef& points);
  void Choose(const float* point);
  int32_t Farthest() const;

 private:
  static constexpr int32_t kBlockSize = 32, kLanes = 4;
  // Four blocks side by side; distances are squared. Absent ones are infinitely far and never the farthest.
  struct alignas(16) Blocks {
    float low[3][kLanes], high[3][kLanes], farthest[kLanes];
    int32_t farthest_at[kLanes];  // the position of the first point (by index) at that distance
  };
  struct alignas(16) Points {
    float xyz[3][kBlockSize], nearest[kBlockSize];
    int32_t index[kBlockSize];
  };
  void Update(int32_t block, const float* point);

  std::vector<Points> points_;  // of each block, along the Morton curve
  std::vector<Blocks> blocks_;
};

BlockedFarthest::BlockedFarthest(const PointsFRef& points)
    : points_((points.rows() + kBlockSize - 1) / kBlockSize),
      blocks_((points_.size() + kLanes - 1) / kLanes) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<int32_t> order = MortonOrder(points);
  for (Blocks& blocks : blocks_) {
    for (int k = 0; k < 3; ++k) std::fill_n(blocks.low[k], kLanes, kInfinity);
    for (int k = 0; k < 3; ++k) std::fill_n(blocks.high[k], kLanes, -kInfinity);
    std::fill_n(blocks.farthest, kLanes, -1.0f);
  }
  for (size_t at = 0; at < points_.size() * kBlockSize; ++at) {
    const size_t block = at / kBlockSize, i = at % kBlockSize, lane = block % kLanes;
    Blocks& blocks = blocks_[block / kLanes];
    const bool absent = at >= order.size();
    points_[block].index[i] = absent ? 0 : order[at];
    points_[block].nearest[i] = absent ? -1 : kInfinity;
    for (int k = 0; k < 3; ++k) {
      const float x = absent ? 0 : points(order[at], k);
      points_[block].xyz[k][i] = x;
      if (absent) continue;
      blocks.low[k][lane] = std::min(blocks.low[k][lane], x);
      blocks.high[k][lane] = std::max(blocks.high[k][lane], x);
    }
    if (!absent) blocks.farthest[lane] = kInfinity;
  }
}

void BlockedFarthest::Update(int32_t block, const float* point) {
  Points& points = points_[block];
  const __m128 x = _mm_set1_ps(point[0]), y = _mm_set1_ps(point[1]), z = _mm_set1_ps(point[2]);
  __m128 farthest = _mm_set1_ps(-1);
  for (int i = 0; i < kBlockSize; i += kLanes) {
    const __m128 dx = _mm_sub_ps(_mm_load_ps(points.xyz[0] + i), x),
                 dy = _mm_sub_ps(_mm_load_ps(points.xyz[1] + i), y),
                 dz = _mm_sub_ps(_mm_load_ps(points.xyz[2] + i), z);
    const __m128 squared = _mm_add_ps(_mm_add_ps(_mm_mul_ps(dx, dx), _mm_mul_ps(dy, dy)), _mm_mul_ps(dz, dz));
    // Like std::min, the second operand where one is NaN.
    const __m128 nearest = _mm_min_ps(squared, _mm_load_ps(points.nearest + i));
    _mm_store_ps(points.nearest + i, nearest);
    farthest = _mm_max_ps(farthest, nearest);
  }
  farthest = LargestInAll(farthest);
  uint32_t equal = 0;
  for (int i = 0; i < kBlockSize; i += kLanes) {
    const __m128 same = _mm_cmpeq_ps(_mm_load_ps(points.nearest + i), farthest);
    equal |= static_cast<uint32_t>(_mm_movemask_ps(same)) << i;
  }
  int first = std::countr_zero(equal);
  while ((equal &= equal - 1) != 0) {
    const int i = std::countr_zero(equal);
    if (points.index[i] < points.index[first]) first = i;
  }
  Blocks& blocks = blocks_[block / kLanes];
  blocks.farthest[block % kLanes] = _mm_cvtss_f32(farthest);
  blocks.farthest_at[block % kLanes] = points.index[first];
}

void BlockedFarthest::Choose(const float* point) {
  const __m128 at[3] = {_mm_set1_ps(point[0]), _mm_set1_ps(point[1]), _mm_set1_ps(point[2])};
  // A box's distance bounds that of its points from below but for a few roundings; the margin is many.
  const __m128 margin = _mm_set1_ps(1 - 1e-5f), smallest = _mm_set1_ps(1e-30f);
  for (size_t group = 0; group < blocks_.size(); ++group) {
    const Blocks& blocks = blocks_[group];
    __m128 gap = _mm_setzero_ps();
    for (int k = 0; k < 3; ++k) {
      const __m128 outside = _mm_max_ps(_mm_max_ps(_mm_sub_ps(_mm_load_ps(blocks.low[k]), at[k]),
                                                   _mm_sub_ps(at[k], _mm_load_ps(blocks.high[k]))),
                                        _mm_setzero_ps());
      gap = _mm_add_ps(gap, _mm_mul_ps(outside, outside));
    }
    const __m128 useless = _mm_and_ps(_mm_cmpge_ps(_mm_mul_ps(gap, margin), _mm_load_ps(blocks.farthest)),
                                      _mm_cmpgt_ps(gap, smallest));
    for (unsigned useful = ~static_cast<unsigned>(_mm_movemask_ps(useless)) & 0xfu; useful != 0;
         useful &= useful - 1) {
      Update(static_cast<int32_t>(group) * kLanes + std::countr_zero(useful), point);
    }
  }
}

int32_t BlockedFarthest::Farthest() const {
  __m128 farthest = _mm_set1_ps(-1);
  for (const Blocks& blocks : blocks_) farthest = _mm_max_ps(farthest, _mm_load_ps(blocks.farthest));
  farthest = LargestInAll(farthest);
  int32_t first = std::numeric_limits<int32_t>::max();
  for (const Blocks& blocks : blocks_) {
    unsigned equal = _mm_movemask_ps(_mm_cmpeq_ps(_mm_load_ps(blocks.farthest), farthest));
    for (; equal != 0; equal &= equal - 1) {
      first = std::min(first, blocks.farthest_at[std::countr_zero(equal)]);
    }
  }
  return first;
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

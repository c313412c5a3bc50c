#include "geometry/grid_walk.h"

#include <emmintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "geometry/grid.h"
#include "geometry/grid_walk_kernel.h"
#include "geometry/kernel_choice.h"

namespace manyform {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Crossing {
  bool hit;
  float entry, exit;
};

Crossing CrossSlabs(const float* o, const float* d) {
  double entry = -kInfinity, exit = kInfinity;
  for (int k = 0; k < 3; ++k) {
    double along = d[k];
    if (std::abs(along) < 1e-9) along = along >= 0 ? 1e-9 : -1e-9;
    const double inverse = 1.0 / along;
    const double low = static_cast<double>(-1.0f - o[k]) * inverse;
    const double high = static_cast<double>(1.0f - o[k]) * inverse;
    entry = std::max(entry, std::min(low, high));
    exit = std::min(exit, std::max(low, high));
  }
  entry = std::max(entry, 0.0);
  return {exit >= entry, static_cast<float>(entry), static_cast<float>(exit)};
}

// WalkGridBits of an occupancy, and where the occupied cells are.
class BitGrid {
 public:
  BitGrid(std::span<const uint8_t> occupancy, int g)
      : g_(g), words_((int64_t{g} + 2) * (g + 1) * (g + 1) / 32 + 3, ~uint32_t{0}) {
    low_.fill(g);
    high_.fill(-1);
    for (int x = 0; x < g; ++x) {
      for (int y = 0; y < g; ++y) {
        if (PackLine(&occupancy[(static_cast<size_t>(x) * g + y) * g], x, y)) Extend(0, x), Extend(1, y);
      }
    }
  }
  const uint32_t* words() const { return words_.data(); }
  bool empty() const { return high_[0] < 0; }
  int low(int axis) const { return low_[axis]; }
  int high(int axis) const { return high_[axis]; }
  // Whether a walk that stopped at this cell of WalkGridBits did so in the grid.
  bool Inside(int32_t cell) const {
    const int side = g_ + 1;
    return cell % side < g_ && cell / side % side < g_ && cell >= side * side && cell / side / side <= g_;
  }

 private:
  void Extend(int axis, int at) {
    low_[axis] = std::min(low_[axis], at);
    high_[axis] = std::max(high_[axis], at);
  }
  // True if a cell of the line is occupied. Sixteen cells at a time.
  bool PackLine(const uint8_t* line, int x, int y) {
    const int64_t first = ((int64_t{x} + 1) * (g_ + 1) + y) * (g_ + 1);
    bool any = false;
    for (int z = 0; z < g_; z += 16) {
      const int count = std::min(16, g_ - z);
      uint8_t cells[16] = {};
      std::memcpy(cells, line + z, count);
      const __m128i empty =
          _mm_cmpeq_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(cells)), _mm_setzero_si128());
      const uint32_t occupied = ~static_cast<uint32_t>(_mm_movemask_epi8(empty)) & 0xffffu;
      Put(first + z, occupied, count);
      if (occupied == 0) continue;
      any = true;
      Extend(2, z + std::countr_zero(occupied));
      Extend(2, z + 31 - std::countl_zero(occupied));
    }
    return any;
  }
  void Put(int64_t at, uint64_t bits, int count) {
    char* const place = reinterpret_cast<char*>(words_.data()) + at / 8;
    uint64_t word;
    std::memcpy(&word, place, sizeof(word));
    const uint64_t mask = (uint64_t{1} << count) - 1;
    word = (word & ~(mask << at % 8)) | bits << at % 8;
    std::memcpy(place, &word, sizeof(word));
  }

  const int g_;
  std::vector<uint32_t> words_;
  std::array<int, 3> low_, high_;
};

// A walk leaves the straight line by roundings only, which are far less than a cell for rays like these.
bool StaysOnLine(const PointsFRef& origins, const PointsFRef& directions) {
  constexpr float kFar = 64, kShort = 0.25f, kLong = 4;
  for (Eigen::Index i = 0; i < origins.rows(); ++i) {
    const float* o = origins.row(i).data();
    const float* d = directions.row(i).data();
    const float far = std::max({std::abs(o[0]), std::abs(o[1]), std::abs(o[2])});
    const float length = std::max({std::abs(d[0]), std::abs(d[1]), std::abs(d[2])});
    if (!(far <= kFar && length >= kShort && length <= kLong)) return false;
  }
  return true;
}

}  // namespace

CubeCrossings CrossCube(const PointsFRef& origins, const PointsFRef& directions) {
  const Eigen::Index n = origins.rows();
  CubeCrossings crossings{std::vector<uint8_t>(n), std::vector<float>(n), std::vector<float>(n)};
  for (Eigen::Index i = 0; i < n; ++i) {
    const Crossing c = CrossSlabs(origins.row(i).data(), directions.row(i).data());
    crossings.hit[i] = c.hit;
    crossings.t_entry[i] = c.entry;
    crossings.t_exit[i] = c.exit;
  }
  return crossings;
}

GridHits WalkGrid(std::span<const uint8_t> occupancy, int g, const PointsFRef& origins,
                  const PointsFRef& directions, const GridWalkOptions& options) {
  static WalkRays* const kernel = WidestKernel(&WalkRaysPortable, &WalkRaysAvx2, &WalkRaysAvx512);
  const Eigen::Index n = origins.rows();
  GridHits hits{std::vector<uint8_t>(n, 0), std::vector<float>(n, 0.0f)};
  const BitGrid bits(occupancy, g);
  if (bits.empty()) return hits;
  WalkGridBits grid{.stop = bits.words(),
                    .g = g,
                    .voxel = VoxelSize(g),
                    .voxel_exactly = 2.0 / g,
                    .max_steps = options.max_steps > 0 ? options.max_steps : 3 * g,
                    .first_in_double = options.first_crossing == FirstCrossing::kDouble};
  constexpr float kEverywhere = 1e30f;
  const bool bounded = StaysOnLine(origins, directions);
  for (int k = 0; k < 3; ++k) {
    // A whole cell is the margin.
    grid.low[k] = bounded ? -1.0f + static_cast<float>(bits.low(k) - 1) * grid.voxel : -kEverywhere;
    grid.high[k] = bounded ? -1.0f + static_cast<float>(bits.high(k) + 2) * grid.voxel : kEverywhere;
  }
  std::vector<int32_t> cells(n);
  const PointsF o = origins, d = directions;
  kernel(grid, o.data(), d.data(), n, cells.data(), hits.t.data());
  for (Eigen::Index i = 0; i < n; ++i) {
    hits.hit[i] = cells[i] >= 0 && bits.Inside(cells[i]);
    if (!hits.hit[i]) hits.t[i] = 0;
  }
  return hits;
}

RayAnswers WalkPointCloud(std::span<const uint8_t> occupancy, int g, const PointsFRef& origins,
                          const PointsFRef& directions, const NearestPoints& cloud, const PointsFRef& normals,
                          const GridWalkOptions& options) {
  GridHits hits = WalkGrid(occupancy, g, origins, directions, options);
  RayAnswers answers{std::vector<float>(hits.hit.begin(), hits.hit.end()), std::move(hits.t),
                     PointsF::Zero(origins.rows(), 3)};
  PointsF at(origins.rows(), 3);
  std::vector<int32_t> ray;
  for (Eigen::Index i = 0; i < origins.rows(); ++i) {
    if (!hits.hit[i]) continue;
    at.row(static_cast<Eigen::Index>(ray.size())) = origins.row(i) + answers.t[i] * directions.row(i);
    ray.push_back(static_cast<int32_t>(i));
  }
  const std::vector<int32_t> nearest = cloud.Indices(at.topRows(static_cast<Eigen::Index>(ray.size())));
  for (size_t i = 0; i < ray.size(); ++i) answers.normals.row(ray[i]) = normals.row(nearest[i]);
  return answers;
}

}  // namespace manyform

#include "geometry/grid_walk_kernel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/numpy_random.h"
#include "geometry/grid.h"
#include "geometry/testing/kernels.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kRays = 1003;

// One ray, step by step as published, through cells that are asked one by one.
struct Reference {
  int32_t cell = -1;
  float t = 0;

  Reference(const WalkGridBits& grid, const float* o, const float* d) {
    double enter = -kInfinity, leave = kInfinity;
    for (int k = 0; k < 3; ++k) {
      double along = d[k];
      if (std::abs(along) < 1e-9) along = along >= 0 ? 1e-9 : -1e-9;
      const double a = static_cast<double>(-1.0f - o[k]) * (1.0 / along);
      const double b = static_cast<double>(1.0f - o[k]) * (1.0 / along);
      enter = std::max(enter, std::min(a, b));
      leave = std::min(leave, std::max(a, b));
    }
    enter = std::max(enter, 0.0);
    if (!(leave >= enter)) return;
    const float entry = static_cast<float>(enter), exit = static_cast<float>(leave);
    int at[3], step[3];
    double next[3], delta[3];
    for (int k = 0; k < 3; ++k) {
      const float p = o[k] + entry * d[k];
      at[k] = CellIndex(p, grid.g);
      step[k] = std::abs(d[k]) < 1e-9f ? 0 : d[k] > 0 ? 1 : -1;
      const double wall = -1.0 + (at[k] + (step[k] > 0)) * grid.voxel_exactly;
      next[k] = grid.first_in_double ? entry + (wall - static_cast<double>(p)) / d[k]
                                     : static_cast<double>(entry + (static_cast<float>(wall) - p) / d[k]);
      delta[k] = grid.voxel_exactly / std::abs(static_cast<double>(d[k]));
      if (step[k] == 0) next[k] = delta[k] = kInfinity;
    }
    double now = entry;
    for (int looked = 0; looked < grid.max_steps; ++looked) {
      const int number = ((at[0] + 1) * (grid.g + 1) + at[1]) * (grid.g + 1) + at[2];
      if (grid.stop[number / 32] >> (number % 32) & 1) {
        cell = number;
        t = static_cast<float>(now);
        return;
      }
      const int axis = next[0] < next[1] && next[0] < next[2] ? 0 : next[1] < next[2] ? 1 : 2;
      now = next[axis];
      if (!(now <= exit)) return;
      next[axis] += delta[axis];
      at[axis] += step[axis];
    }
  }
};

using Kernels = KernelTest<WalkRays>;

// Some cells are occupied, and everything around the grid stops a walk.
std::vector<uint32_t> SparseStops(int g, NumpyRandomState& random) {
  std::vector<uint32_t> words((g + 2) * (g + 1) * (g + 1) / 32 + 3, ~uint32_t{0});
  for (int x = 0; x < g; ++x) {
    for (int y = 0; y < g; ++y) {
      for (int z = 0; z < g; ++z) {
        const int number = ((x + 1) * (g + 1) + y) * (g + 1) + z;
        if (random.RandInt(0, 50) > 0) words[number / 32] &= ~(uint32_t{1} << number % 32);
      }
    }
  }
  return words;
}

TEST_P(Kernels, EveryRayAsStepByStep) {
  NumpyRandomState random(5);
  for (const int g : {1, 3, 16, 40}) {
    const std::vector<uint32_t> stops = SparseStops(g, random);
    std::vector<float> o(3 * kRays), d(3 * kRays);
    for (int64_t i = 0; i < kRays; ++i) {
      for (int k = 0; k < 3; ++k) {
        o[3 * i + k] = static_cast<float>(random.Uniform(-1, 1) * (i % 3 == 0 ? 1 : 4));
        d[3 * i + k] = static_cast<float>(random.Uniform(-1, 1));
        // Along axes, through edges and corners of cells.
        if (i % 5 == 0) d[3 * i + k] = static_cast<float>(random.RandInt(-1, 2));
        if (i % 7 == 0)
          o[3 * i + k] = static_cast<float>(-1 + 2.0 * static_cast<double>(random.RandInt(0, g + 1)) / g);
      }
    }
    o[30] = std::numeric_limits<float>::quiet_NaN();
    d[61] = std::numeric_limits<float>::infinity();
    d[91] = 1e-10f;
    for (const bool in_double : {false, true}) {
      for (const int max_steps : {3 * g, 4}) {
        const WalkGridBits grid{
            stops.data(),         g, VoxelSize(g), 2.0 / g, max_steps, in_double, {-1e30f, -1e30f, -1e30f},
            {1e30f, 1e30f, 1e30f}};
        std::vector<int32_t> cells(kRays);
        std::vector<float> t(kRays);
        kernel()(grid, o.data(), d.data(), kRays, cells.data(), t.data());
        int64_t hits = 0;
        for (int64_t i = 0; i < kRays; ++i) {
          const Reference expected(grid, &o[3 * i], &d[3 * i]);
          ASSERT_EQ(cells[i], expected.cell) << g << " " << i;
          ASSERT_EQ(t[i], expected.t) << g << " " << i;
          hits += cells[i] >= 0;
        }
        EXPECT_GT(hits, kRays / 20);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Kernels, EachKernel(&WalkRaysPortable, &WalkRaysAvx2, &WalkRaysAvx512),
                         KernelName<Kernels::ParamType>);

}  // namespace
}  // namespace manyform

#include "geometry/distance_kernel.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/numpy_random.h"
#include "geometry/testing/kernels.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Cell = std::array<int, 3>;

class Kernels : public KernelTest<ShortDistances> {
 protected:
  static void ExpectAsBruteForce(int g, const std::vector<Cell>& occupied) {
    const size_t side = g;
    std::vector<uint8_t> occupancy(side * side * side, 0);
    for (const auto& [x, y, z] : occupied) occupancy[(x * side + y) * side + z] = 255;
    std::vector<int16_t> distances(occupancy.size(), 0);
    kernel()(occupancy.data(), g, distances.data());
    size_t i = 0;
    for (int x = 0; x < g; ++x) {
      for (int y = 0; y < g; ++y) {
        for (int z = 0; z < g; ++z, ++i) {
          int expected = 3 * g * g;
          for (const Cell& c : occupied) {
            const int dx = c[0] - x, dy = c[1] - y, dz = c[2] - z;
            expected = std::min(expected, dx * dx + dy * dy + dz * dz);
          }
          ASSERT_EQ(distances[i] - kShortZero, expected) << g << ": " << x << " " << y << " " << z;
        }
      }
    }
  }
};

TEST_P(Kernels, EqualBruteForce) {
  NumpyRandomState random(1);
  for (const int g : {1, 2, 5, 31, 32, 33, 50}) {
    for (const int count : {1, 2, 40}) {
      std::vector<Cell> occupied;
      for (int i = 0; i < count; ++i) {
        Cell& cell = occupied.emplace_back();
        for (int& c : cell) c = static_cast<int>(random.RandInt(0, g));
      }
      ExpectAsBruteForce(g, occupied);
    }
  }
}

TEST_P(Kernels, TheLargestGridsFarthestCorners) {
  const int last = kMaxShortSide - 1;
  ExpectAsBruteForce(kMaxShortSide, {{0, 0, 0}});
  ExpectAsBruteForce(kMaxShortSide, {{last, last, last}});
  ExpectAsBruteForce(kMaxShortSide, {{0, last, 60}, {60, 0, 0}});
}

TEST_P(Kernels, FullPlanesAndLines) {
  std::vector<Cell> plane;
  for (int i = 0; i < 40; ++i) {
    for (int k = 0; k < 40; ++k) plane.push_back({i, 17, k});
  }
  ExpectAsBruteForce(40, plane);
}

INSTANTIATE_TEST_SUITE_P(All, Kernels,
                         EachKernel(&ShortDistancesPortable, &ShortDistancesAvx2, &ShortDistancesAvx512),
                         KernelName<Kernels::ParamType>);

}  // namespace
}  // namespace manyform

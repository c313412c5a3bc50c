#include "geometry/morton.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "geometry/testing/golden.h"
#include "geometry/testing/shapes.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(Golden, MortonCodesAndOrder) {
  const Golden golden("c_tokens/ordering");
  EXPECT_EQ(MortonCodes(golden.PointsOf("xyz")), golden.Words("morton"));
  const std::vector<int32_t> order = MortonOrder(golden.PointsOf("xyz"));
  EXPECT_EQ(std::vector<int64_t>(order.begin(), order.end()), golden.Longs("morton_stable_argsort"));
}

TEST(MortonCodes, InterleaveBits) {
  PointsF points(5, 3);
  points << -1, -1, -1, 1, -1, -1, -1, 1, -1, -1, -1, 1, std::nanf(""), 1e30f, -1e30f;
  EXPECT_EQ(MortonCodes(points), (std::vector<uint32_t>{0, 0x09249249, 0x12492492, 0x24924924, 0x12492492}));
}

TEST(MortonOrder, EqualCodesKeepTheirOrder) {
  const std::vector<int32_t> order = MortonOrder(PointsF::Constant(100, 3, 0.3f));
  for (int i = 0; i < 100; ++i) ASSERT_EQ(order[i], i);
}

TEST(MortonOrder, EqualsAStableSort) {
  NumpyRandomState random(1);
  for (const int n : {0, 1, 5, 3000}) {
    const PointsF points = RandomPoints(n, 1.1, random);
    const std::vector<uint32_t> codes = MortonCodes(points);
    std::vector<int32_t> expected(n);
    std::iota(expected.begin(), expected.end(), 0);
    std::stable_sort(expected.begin(), expected.end(),
                     [&](int32_t a, int32_t b) { return codes[a] < codes[b]; });
    EXPECT_EQ(MortonOrder(points), expected);
  }
}

}  // namespace
}  // namespace manyform

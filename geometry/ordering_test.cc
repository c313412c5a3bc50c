#include "geometry/ordering.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "geometry/testing/golden.h"
#include "geometry/testing/shapes.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(Golden, FarthestPointOrder) {
  const Golden golden("b_shapes/functions");
  for (const char* name : {"uniform", "dups", "lattice"}) {
    const PointsF points = golden.PointsOf(absl::StrCat("fps/", name, "_points"));
    const std::vector<int32_t> expected = golden.Ints(absl::StrCat("fps/", name, "_order"));
    EXPECT_EQ(FarthestFromCentroid(points), golden.Longs(absl::StrCat("fps/", name, "_start"))[0]);
    EXPECT_EQ(FarthestPointOrder(points, expected.size()), expected) << name;
  }
  EXPECT_EQ(FarthestPointOrder(golden.PointsOf("fps/uniform_points"), 500),
            golden.Ints("fps/uniform_order_all"));
}

TEST(Golden, FarthestOfRandomCandidates) {
  const Golden golden("b_shapes/functions");
  const PointsF points = golden.PointsOf("fps/uniform_points");
  for (const int m : {64, 4096}) {
    NumpyRandomState random(3);
    const std::vector<int64_t> candidates =
        *random.Choice(points.rows(), std::min<int64_t>(m, points.rows()), /*replace=*/false);
    std::vector<int32_t> chosen;
    for (const int32_t i : FarthestPointOrder(points(candidates, Eigen::all), 32)) {
      chosen.push_back(static_cast<int32_t>(candidates[i]));
    }
    EXPECT_EQ(chosen, golden.Ints(absl::StrCat("fps/rfps_seed3_m", m, "_k32"))) << m;
  }
}

std::vector<int32_t> PlainFarthest(const PointsF& points, int64_t k) {
  std::vector<float> nearest(points.rows(), std::numeric_limits<float>::infinity());
  std::vector<int32_t> order = {static_cast<int32_t>(FarthestFromCentroid(points))};
  while (static_cast<int64_t>(order.size()) < std::min<int64_t>(k, points.rows())) {
    const Eigen::RowVector3f last = points.row(order.back());
    for (Eigen::Index i = 0; i < points.rows(); ++i) {
      const float dx = points(i, 0) - last[0], dy = points(i, 1) - last[1], dz = points(i, 2) - last[2];
      nearest[i] = std::min(nearest[i], (dx * dx + dy * dy) + dz * dz);
    }
    order.push_back(static_cast<int32_t>(std::max_element(nearest.begin(), nearest.end()) - nearest.begin()));
  }
  return order;
}

TEST(FarthestPointOrder, EqualsThePlainAlgorithm) {
  NumpyRandomState random(1);
  for (const int n : {1, 2, 31, 32, 33, 700}) {
    const PointsF points = RandomPoints(n, 1, random);
    EXPECT_EQ(FarthestPointOrder(points, n + 5), PlainFarthest(points, n + 5)) << n;
  }
  EXPECT_EQ(FarthestPointOrder(RandomDirections(4000, random), 300).size(), 300);
  const PointsF sphere = RandomDirections(4000, random);
  EXPECT_EQ(FarthestPointOrder(sphere, 300), PlainFarthest(sphere, 300));
  // Coordinates beyond the Morton cube share one code; lattices tie everywhere.
  const PointsF wide = RandomPoints(600, 50, random);
  EXPECT_EQ(FarthestPointOrder(wide, 600), PlainFarthest(wide, 600));
  PointsF lattice = (RandomPoints(800, 4, random).array().round() * 0.25f).matrix();
  EXPECT_EQ(FarthestPointOrder(lattice, 800), PlainFarthest(lattice, 800));
}

TEST(FarthestPointOrder, NothingAskedNothingGiven) {
  EXPECT_TRUE(FarthestPointOrder(PointsF(0, 3), 5).empty());
  EXPECT_TRUE(FarthestPointOrder(PointsF::Zero(3, 3), 0).empty());
}

TEST(LatticePick, PicksTheNearestToEachNode) {
  NumpyRandomState random(2);
  const PointsF points = RandomPoints(300, 1.2, random);
  for (const int k : {1, 2, 8, 9, 27, 30}) {
    const auto picked = LatticePick(points, k);
    ASSERT_TRUE(picked.ok());
    ASSERT_EQ(picked->size(), k);
    const int side = k == 1 ? 1 : k <= 8 ? 2 : k <= 27 ? 3 : 4;
    for (int i = 0; i < k; ++i) {
      Eigen::RowVector3f node;
      node << i / (side * side), i / side % side, i % side;
      node = node * (side > 1 ? 2.0f / (side - 1) : 0) - Eigen::RowVector3f::Ones();
      Eigen::Index nearest;
      (points.rowwise() - node).rowwise().squaredNorm().minCoeff(&nearest);
      EXPECT_EQ((*picked)[i], nearest) << k << " " << i;
    }
  }
  EXPECT_FALSE(LatticePick(PointsF(0, 3), 4).ok());
  EXPECT_TRUE(LatticePick(points, 0)->empty());
}

}  // namespace
}  // namespace manyform

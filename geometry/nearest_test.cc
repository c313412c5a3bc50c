#include "geometry/nearest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "geometry/testing/golden.h"
#include "geometry/testing/shapes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nanoflann.hpp"

namespace manyform {
namespace {

using Neighbour = NearestPoints::Neighbour;

std::vector<Neighbour> BruteForce(const PointsF& points, const Eigen::RowVector3f& query) {
  std::vector<Neighbour> all;
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    const Eigen::RowVector3d d = points.row(i).cast<double>() - query.cast<double>();
    all.push_back({i, (d[0] * d[0] + d[1] * d[1]) + d[2] * d[2]});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.squared_distance < b.squared_distance; });
  return all;
}

void ExpectAsBruteForce(const PointsF& points, const PointsF& queries) {
  const auto tree = NearestPoints::Create(points);
  ASSERT_TRUE(tree.ok()) << tree.status();
  const std::vector<int32_t> indices = tree->Indices(queries);
  const std::vector<float> distances = tree->Distances(queries);
  for (Eigen::Index q = 0; q < queries.rows(); ++q) {
    const std::vector<Neighbour> expected = BruteForce(points, queries.row(q));
    ASSERT_EQ(indices[q], expected[0].index) << q;
    ASSERT_EQ(distances[q], static_cast<float>(std::sqrt(expected[0].squared_distance)));
    const std::vector<Neighbour> nearest = tree->KNearest(queries.row(q).data(), 9);
    ASSERT_EQ(nearest.size(), std::min<size_t>(9, expected.size()));
    for (size_t k = 0; k < nearest.size(); ++k) {
      ASSERT_EQ(nearest[k].index, expected[k].index) << q << " " << k;
      ASSERT_EQ(nearest[k].squared_distance, expected[k].squared_distance);
    }
  }
}

TEST(NearestPoints, EqualsBruteForce) {
  NumpyRandomState random(1);
  for (const int n : {1, 2, 7, 31, 32, 33, 500, 3000}) {
    SCOPED_TRACE(n);
    ExpectAsBruteForce(RandomPoints(n, 1, random), RandomPoints(200, 1.5, random));
  }
}

TEST(NearestPoints, TiesGoToTheSmallestIndex) {
  // A shuffled lattice with every point twice, asked at nodes and at the middles between them.
  NumpyRandomState random(2);
  PointsF points(2 * 343, 3);
  const std::vector<int64_t> order = random.Permutation(points.rows());
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    const int64_t cell = order[i] % 343;
    points.row(i) << (cell / 49 - 3) * 0.25f, (cell / 7 % 7 - 3) * 0.25f, (cell % 7 - 3) * 0.25f;
  }
  PointsF queries(300, 3);
  for (Eigen::Index i = 0; i < queries.rows(); ++i) {
    for (int k = 0; k < 3; ++k) queries(i, k) = (random.RandInt(0, 17) - 8) * 0.125f;
  }
  ExpectAsBruteForce(points, queries);
}

TEST(NearestPoints, ClustersLinesAndFarQueries) {
  NumpyRandomState random(3);
  PointsF cluster = RandomPoints(1000, 1e-3, random);
  cluster.row(17) << 0.9f, 0.9f, 0.9f;
  ExpectAsBruteForce(cluster, RandomPoints(100, 1, random));
  PointsF line = RandomPoints(500, 1, random);
  line.leftCols(2).setZero();
  ExpectAsBruteForce(line, RandomPoints(100, 1, random));
  ExpectAsBruteForce(PointsF::Constant(300, 3, 0.25f), RandomPoints(20, 1, random));
  ExpectAsBruteForce(RandomPoints(100, 1, random), RandomPoints(50, 1e6, random));
}

TEST(NearestPoints, EveryPointIsItsOwnNearest) {
  NumpyRandomState random(4);
  const PointsF points = RandomPoints(2000, 1, random);
  const auto tree = NearestPoints::Create(points);
  ASSERT_TRUE(tree.ok());
  const std::vector<int32_t> indices = tree->Indices(points);
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(indices[i], i);
}

struct Cloud {
  const PointsF& points;
  size_t kdtree_get_point_count() const { return points.rows(); }
  double kdtree_get_pt(size_t row, size_t axis) const { return points(row, axis); }
  template <class Box>
  bool kdtree_get_bbox(Box&) const {
    return false;
  }
};

TEST(NearestPoints, AgreesWithNanoflann) {
  NumpyRandomState random(5);
  const PointsF points = RandomDirections(20000, random), queries = RandomPoints(20000, 1, random);
  const auto ours = NearestPoints::Create(points);
  ASSERT_TRUE(ours.ok());
  const Cloud cloud{points};
  using Metric = nanoflann::L2_Simple_Adaptor<double, Cloud>;
  nanoflann::KDTreeSingleIndexAdaptor<Metric, Cloud, 3> theirs(3, cloud);
  const std::vector<int32_t> indices = ours->Indices(queries);
  for (Eigen::Index i = 0; i < queries.rows(); ++i) {
    const Eigen::Vector3d query = queries.row(i).cast<double>();
    unsigned index = 0;
    double squared = 0;
    ASSERT_EQ(theirs.knnSearch(query.data(), 1, &index, &squared), 1u);
    ASSERT_EQ(indices[i], static_cast<int32_t>(index));
    ASSERT_EQ(ours->Nearest(queries.row(i).data()).squared_distance, squared);
  }
}

TEST(NearestPoints, CoordinatesBeyondSinglePrecisionSquares) {
  NumpyRandomState random(6);
  const PointsF tiny = RandomPoints(300, 1e-25, random), huge = RandomPoints(300, 1e30, random);
  ExpectAsBruteForce(tiny, RandomPoints(50, 1e-25, random));
  ExpectAsBruteForce(huge, RandomPoints(50, 1e30, random));
  ExpectAsBruteForce(tiny, huge.topRows(50));
}

TEST(NearestPoints, RefusesWhatCannotBeOrdered) {
  EXPECT_FALSE(NearestPoints::Create(PointsF(0, 3)).ok());
  PointsF points = PointsF::Zero(5, 3);
  points(3, 1) = std::numeric_limits<float>::infinity();
  EXPECT_THAT(NearestPoints::Create(points).status().message(), ::testing::HasSubstr("point 3"));
  const auto tree = NearestPoints::Create(PointsF::Zero(5, 3));
  ASSERT_TRUE(tree.ok());
  const float query[3] = {0, std::numeric_limits<float>::quiet_NaN(), 0};
  EXPECT_EQ(tree->Nearest(query).index, 0);
  EXPECT_TRUE(std::isnan(tree->Nearest(query).squared_distance));
  EXPECT_TRUE(tree->KNearest(query, 3).empty());
}

TEST(Golden, NearestNeighbour) {
  const Golden golden("b_shapes/functions");
  const auto tree = NearestPoints::Create(golden.PointsOf("nn/ref"));
  ASSERT_TRUE(tree.ok());
  EXPECT_EQ(tree->Distances(golden.PointsOf("nn/query")), golden.Floats("nn/dist"));
  const std::vector<int32_t> indices = tree->Indices(golden.PointsOf("nn/query"));
  EXPECT_EQ(std::vector<int64_t>(indices.begin(), indices.end()), golden.Longs("nn/idx"));
}

TEST(Golden, DistancesToThePointCloud) {
  for (const GoldenShape& shape : kGoldenShapes) {
    const Golden golden(absl::StrCat("b_shapes/stages/", shape.name));
    const auto tree = NearestPoints::Create(golden.PointsOf("cache/pc_xyz"));
    ASSERT_TRUE(tree.ok());
    EXPECT_EQ(tree->Distances(golden.PointsOf("cache/pt_xyz_pool")), golden.Floats("cache/pt_dist_pc_pool"))
        << shape.name;
  }
}

}  // namespace
}  // namespace manyform

#include "data/scan_arrays.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "data/scan_stream.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

PointsF RandomCloud(int n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(3, 2);
  PointsF points(n, 3);
  for (int i = 0; i < 3 * n; ++i) points.data()[i] = normal(random);
  return points;
}

TEST(NormalizeScan, UnitBallAroundTheMean) {
  PointsF points(4, 3);
  points << 1, 1, 1, 3, 1, 1, 1, 5, 1, 1, 1, 1;
  // Mean (1.5, 2, 1); the third point is the farthest: (-0.5, 3, 0).
  const auto normal = NormalizeScan(points);
  ASSERT_TRUE(normal.ok());
  const float scale = std::sqrt(9.25f);
  EXPECT_FLOAT_EQ((*normal)(1, 0), 1.5f / scale);
  EXPECT_FLOAT_EQ((*normal)(2, 1), 3 / scale);
  const PointsF one = PointsF::Constant(3, 3, 7);
  EXPECT_EQ(*NormalizeScan(one), PointsF::Zero(3, 3));
}

TEST(NormalizeScan, FarFromTheOriginInDouble) {
  const PointsD points = RandomCloud(50, 1).cast<double>();
  const PointsD moved = points.rowwise() + Eigen::RowVector3d(5e8, -4e8, 1e8);
  EXPECT_LT((*NormalizeScan(moved) - *NormalizeScan(points)).cwiseAbs().maxCoeff(), 1e-6);
}

TEST(NormalizeScan, NotFiniteNamesTheRow) {
  PointsF points = RandomCloud(5, 2);
  points(3, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(NormalizeScan(points).status().message(), "point 3: coordinate nan is not finite");
  points(3, 1) = 3e38f;
  EXPECT_EQ(NormalizeScan(points).status().message(), "coordinates are too large to be squared");
}

TEST(PickScanPoints, FewerAndMore) {
  NumpyRandomState random(5);
  const std::vector<int64_t> same = PickScanPoints(6, 6, random);
  EXPECT_EQ(same, (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
  const std::vector<int64_t> fewer = PickScanPoints(100, 40, random);
  EXPECT_EQ(std::set<int64_t>(fewer.begin(), fewer.end()).size(), 40);
  EXPECT_LT(*std::max_element(fewer.begin(), fewer.end()), 100);
  const std::vector<int64_t> more = PickScanPoints(30, 500, random);
  ASSERT_EQ(more.size(), 500);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(more[i], i);
  EXPECT_EQ(std::set<int64_t>(more.begin() + 30, more.end()).size(), 30);
  EXPECT_LT(*std::max_element(more.begin(), more.end()), 30);
}

TEST(BuildScanArrays, PoolsAnswersAndZeros) {
  const ScanPoolOptions options{.pt_pool = 101, .ray_pool = 7, .surface_ratio = 0.5, .surface_sigma = 0.05};
  const PointsF cloud = *NormalizeScan(RandomCloud(30, 3));
  NumpyRandomState random(9);
  const auto draws = DrawScan(30, options, random);
  ASSERT_TRUE(draws.ok());
  EXPECT_EQ(draws->uniform.rows(), 50);  // 50.5, half to even
  const auto arrays = BuildScanArrays(cloud, PointsF(0, 3), *draws, options);
  ASSERT_TRUE(arrays.ok());
  const std::vector<NamedArray> expected = ScanArraysWithoutData(30, options);
  ASSERT_EQ(arrays->size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ((*arrays)[i].name, expected[i].name);
    EXPECT_EQ((*arrays)[i].array.shape, expected[i].array.shape);
    const std::vector<float> values = *(*arrays)[i].array.Values<float>();
    if (expected[i].name == "pc_n" || absl::StartsWith(expected[i].name, "ray_")) {
      EXPECT_TRUE(std::all_of(values.begin(), values.end(), [](float v) { return v == 0; }));
    }
  }
  const std::vector<float> pool = *(*arrays)[2].array.Values<float>();
  const std::vector<float> distance = *(*arrays)[3].array.Values<float>();
  for (int i = 0; i < 101; ++i) {
    double nearest = 1e9;
    for (int j = 0; j < 30; ++j) {
      double squared = 0;
      for (int k = 0; k < 3; ++k) {
        const double d = double{pool[3 * i + k]} - double{cloud(j, k)};
        squared += d * d;
        EXPECT_LE(std::abs(pool[3 * i + k]), 1.f);
      }
      nearest = std::min(nearest, std::sqrt(squared));
    }
    EXPECT_EQ(distance[i], static_cast<float>(nearest));
  }
}

TEST(ScanStream, AnyOrderDrawsWhatOneLoopDraws) {
  const ScanPoolOptions options{.pt_pool = 9, .ray_pool = 1, .surface_ratio = 0.7, .surface_sigma = 0.1};
  constexpr int kScans = 1500;
  std::vector<int64_t> num_points(kScans);
  for (int i = 0; i < kScans; ++i) num_points[i] = 2 + i % 11;
  std::vector<ScanDraws> expected;
  expected.reserve(kScans);
  NumpyRandomState random(77);
  for (const int64_t n : num_points) expected.push_back(*DrawScan(n, options, random));

  const auto check = [&](ScanStream& stream, int64_t i) {
    const auto draws = stream.Draws(i);
    ASSERT_TRUE(draws.ok());
    EXPECT_TRUE(draws->uniform == expected[i].uniform && draws->rows == expected[i].rows &&
                draws->jitter == expected[i].jitter)
        << i;
  };
  ScanStream forward(77, num_points, options), shuffled(77, num_points, options),
      last(77, num_points, options), shared(77, num_points, options);
  std::vector<int64_t> order(kScans);
  std::iota(order.begin(), order.end(), 0);
  for (const int64_t i : order) check(forward, i);
  for (const int64_t i : {5, 0, 1400, 1499}) check(forward, i);  // asked once more
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  for (const int64_t i : order) check(shuffled, i);
  check(last, kScans - 1);
  check(last, 3);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = t; i < kScans; i += 4) check(shared, i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace manyform

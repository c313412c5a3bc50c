#include "eval/grid_queries.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

#include "geometry/grid.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

/// Distances to the surface of a sphere of radius 0.5, at voxel centres.
std::vector<float> SphereGrid(int g) {
  const PointsF centres = GridCentres(g);
  std::vector<float> grid;
  for (Eigen::Index i = 0; i < centres.rows(); ++i) grid.push_back(std::abs(centres.row(i).norm() - 0.5f));
  return grid;
}

GridQueries Draw(const std::vector<float>& grid, int g, int64_t n, const GridQueryOptions& options,
                 uint32_t seed) {
  NumpyRandomState random(seed);
  auto queries = DrawGridQueries(grid, g, n, options, random);
  EXPECT_TRUE(queries.ok()) << queries.status();
  return *std::move(queries);
}

std::vector<int64_t> AllVoxels(int g) {
  std::vector<int64_t> voxels(int64_t{g} * g * g);
  std::iota(voxels.begin(), voxels.end(), 0);
  return voxels;
}

int64_t CountNear(const GridQueries& queries, float tau) {
  return std::count_if(queries.distance.begin(), queries.distance.end(), [tau](float d) { return d <= tau; });
}

TEST(DrawGridQueries, VoxelSamplersGiveDistinctVoxelsWithTheirOwnDistances) {
  const std::vector<float> grid = SphereGrid(6);
  const PointsF centres = GridCentres(6);
  for (const GridSampling sampling : {GridSampling::kUniform, GridSampling::kNearSurface}) {
    for (const int64_t n : {1, 25, 216, 1000}) {
      const GridQueries queries = Draw(grid, 6, n, {.sampling = sampling}, 3);
      ASSERT_EQ(queries.xyz.rows(), std::min<int64_t>(n, 216));
      const std::set<int64_t> distinct(queries.voxels.begin(), queries.voxels.end());
      EXPECT_EQ(distinct.size(), queries.voxels.size());
      for (size_t i = 0; i < queries.voxels.size(); ++i) {
        EXPECT_EQ(queries.distance[i], grid[queries.voxels[i]]);
        EXPECT_EQ(queries.xyz.row(static_cast<Eigen::Index>(i)), centres.row(queries.voxels[i]));
      }
    }
  }
}

TEST(DrawGridQueries, NearVoxelsHaveTheirShareAndBackfill) {
  NumpyRandomState random(6);
  std::vector<float> grid;
  for (int i = 0; i < 216; ++i) grid.push_back(static_cast<float>(random.Double()));
  GridQueryOptions options = {.sampling = GridSampling::kNearSurface, .near_tau = 0.5};
  for (const double frac : {0.0, 0.5, 0.7, 0.9, 1.0}) {
    options.near_frac = frac;
    EXPECT_EQ(CountNear(Draw(grid, 6, 25, options, 7), 0.5f), std::llrint(25 * frac)) << frac;
  }
  options.near_frac = 0.7;
  for (const double tau : {0.0, 0.01, 0.999, 2.0}) {
    options.near_tau = tau;
    const auto there =
        std::count_if(grid.begin(), grid.end(), [tau](float d) { return d <= static_cast<float>(tau); });
    const GridQueries queries = Draw(grid, 6, 25, options, 8);
    EXPECT_EQ(queries.voxels.size(), 25);
    const int64_t far = 216 - there;
    EXPECT_EQ(CountNear(queries, static_cast<float>(tau)),
              std::max<int64_t>(std::min<int64_t>(18, there), 25 - far));
  }
}

TEST(DrawGridQueries, StrataHoldAFifthOfTheVoxelsEach) {
  NumpyRandomState random(9);
  std::vector<float> grid;
  for (int i = 0; i < 1000; ++i) grid.push_back(static_cast<float>(random.Double()));
  std::vector<float> sorted = grid;
  std::sort(sorted.begin(), sorted.end());
  for (const int64_t n : {3, 23, 100}) {
    const GridQueries queries = Draw(grid, 10, n, {.sampling = GridSampling::kStratified}, 10);
    ASSERT_EQ(queries.voxels.size(), n);
    std::vector<int64_t> in_bin(5);
    for (const float d : queries.distance) {
      const auto rank = std::lower_bound(sorted.begin(), sorted.end(), d) - sorted.begin();
      ++in_bin[std::min<int64_t>(rank / 200, 4)];
    }
    for (int b = 0; b < 5; ++b) EXPECT_EQ(in_bin[b], n / 5 + (b < n % 5 ? 1 : 0)) << n;
  }
}

TEST(DrawGridQueries, StrataOfEqualDistancesTakeAnyVoxel) {
  const std::vector<float> grid(64, 0.25f);
  EXPECT_EQ(Draw(grid, 4, 20, {.sampling = GridSampling::kStratified}, 11).voxels.size(), 20);
  std::vector<float> holed = grid;
  holed[5] = std::numeric_limits<float>::quiet_NaN();
  NumpyRandomState random(1);
  EXPECT_EQ(DrawGridQueries(holed, 4, 20, {.sampling = GridSampling::kStratified}, random).status().code(),
            kInvalid);
}

/// The distance to the nearest centre of a near cell of the side-r grid, per axis, in cells.
TEST(DrawGridQueries, FineStagesStayByNearCells) {
  const int g = 16;
  const std::vector<float> grid = SphereGrid(g);
  GridQueryOptions options = {
      .sampling = GridSampling::kCoarseToFine, .near_tau = 0.1, .resolutions = {4, 16}};
  const PointsF coarse = VoxelCentres(AllVoxels(4), 4);
  for (const int expand : {0, 1}) {
    options.expand = expand;
    const GridQueries queries = Draw(grid, g, 300, options, 12);
    ASSERT_EQ(queries.xyz.rows(), 300);
    for (Eigen::Index i = 0; i < 300; ++i) {
      EXPECT_EQ(queries.distance[i], grid[queries.voxels[i]]);
      if (i < 100) continue;  // the first stage is anywhere
      // A cell of side 1/2: its children lie within 1/4 of its centre, strays in the neighbours'.
      double nearest = 9;
      for (Eigen::Index c = 0; c < coarse.rows(); ++c) {
        const auto offset = (queries.xyz.row(i) - coarse.row(c)).cwiseAbs();
        // Centres of 4^3 lie between voxels of 16^3: the even one of eight is read.
        if (std::abs(coarse.row(c).norm() - 0.5) <= 0.1 + 0.11)
          nearest = std::min<double>(nearest, offset.maxCoeff());
      }
      EXPECT_LT(nearest, 0.25 + 0.5 * expand);
    }
  }
}

TEST(DrawGridQueries, CoarseToFineWithOneStageIsUniform) {
  const std::vector<float> grid = SphereGrid(8);
  const GridQueries fine = Draw(grid, 8, 40, {.sampling = GridSampling::kCoarseToFine}, 13);
  const GridQueries uniform = Draw(grid, 8, 40, {}, 13);
  EXPECT_EQ(fine.voxels, uniform.voxels) << "16, 32 and 64 are all clipped to 8";
  EXPECT_EQ(fine.xyz, uniform.xyz);
  NumpyRandomState random(1);
  const GridQueryOptions none = {.sampling = GridSampling::kCoarseToFine, .resolutions = {}};
  EXPECT_EQ(DrawGridQueries(grid, 8, 5, none, random).status().code(), kInvalid);
}

TEST(StageCounts, AddUpAndGiveTheLargestRemaindersFirst) {
  EXPECT_EQ(StageCounts(24, std::vector<double>{3, 1, 2}), (std::vector<int64_t>{12, 4, 8}));
  EXPECT_EQ(StageCounts(13, std::vector<double>{1, 2}), (std::vector<int64_t>{4, 9}));
  EXPECT_EQ(StageCounts(2, std::vector<double>{1, 1, 1}), (std::vector<int64_t>{1, 1, 0}));
  NumpyRandomState random(14);
  for (int i = 0; i < 100; ++i) {
    std::vector<double> weights = random.Rand(random.RandInt(1, 6));
    weights[0] += 0.1;
    const int64_t n = random.RandInt(0, 500);
    const std::vector<int64_t> counts = StageCounts(n, weights);
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), int64_t{0}), n);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (size_t s = 0; s < counts.size(); ++s)
      EXPECT_NEAR(static_cast<double>(counts[s]), static_cast<double>(n) * weights[s] / sum, 1.0);
  }
}

TEST(GridStages, AreClippedAndDistinctInARow) {
  EXPECT_EQ(GridStages({5, 5, 12, 64}, 16), (std::vector<int>{5, 12, 16}));
  EXPECT_EQ(GridStages({1, 2, 16, 8}, 16), (std::vector<int>{2, 16, 8}));
}

TEST(ParseGridOptions, ReadPublishedListsAndRefuseOthers) {
  EXPECT_EQ(*ParseResolutions("16,32, 64"), (std::vector<int>{16, 32, 64}));
  EXPECT_TRUE(ParseResolutions("")->empty());
  EXPECT_EQ(*ParseStageWeights("3,0,0.5"), (std::vector<double>{3, 0, 0.5}));
  EXPECT_TRUE(ParseStageWeights("")->empty());
  for (const char* text : {"16,x", "0", "-3", "1.5", "99999999999"})
    EXPECT_EQ(ParseResolutions(text).status().code(), kInvalid) << text;
  for (const char* text : {"1,x", "-1", "nan", "inf", "0,0"})
    EXPECT_EQ(ParseStageWeights(text).status().code(), kInvalid) << text;
  EXPECT_EQ(ParseGridSampling("random").status().code(), kInvalid);
}

TEST(VoxelCentres, AreTheGridsOwn) {
  for (const int g : {1, 3, 16}) EXPECT_EQ(VoxelCentres(AllVoxels(g), g), GridCentres(g));
}

}  // namespace
}  // namespace manyform

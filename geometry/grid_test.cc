#include "geometry/grid.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include "geometry/testing/golden.h"
#include "geometry/testing/shapes.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(Golden, OccupancyAndDilation) {
  const Golden golden("b_shapes/functions");
  for (const int g : {5, 16, 24, 30, 64}) {
    const PointsF points = golden.PointsOf(absl::StrCat("occ", g, "/points"));
    for (const int rounds : {0, 1, 2, 4}) {
      std::vector<uint8_t> occupancy = Occupancy(points, g);
      Dilate(&occupancy, g, rounds);
      EXPECT_EQ(occupancy, golden.Bits(absl::StrCat("occ", g, "/dilate", rounds), g * g * g))
          << g << " " << rounds;
    }
  }
}

TEST(Golden, DistanceGridsAndTheirSamples) {
  const Golden golden("b_shapes/functions");
  for (const int g : {5, 16, 24, 30, 64}) {
    SCOPED_TRACE(g);
    const std::string prefix = absl::StrCat("edt", g, "/");
    const std::vector<uint8_t> occupancy = golden.Bits(prefix + "occ", g * g * g);
    const std::vector<float> udf = UnsignedDistanceGrid(occupancy, g);
    if (g != 64) {
      EXPECT_EQ(udf, golden.Floats(prefix + "udf_f32"));
      EXPECT_EQ(DistanceGridInCells(occupancy, g), golden.Floats(prefix + "edt_voxels_f32"));
    }
    const PointsF query = golden.PointsOf(prefix + "query");
    EXPECT_EQ(SampleTrilinear(udf, g, query), golden.Floats(prefix + "trilinear"));
    std::vector<float> rounded = udf;
    for (float& d : rounded) d = static_cast<float>(Eigen::half(d));
    EXPECT_EQ(SampleTrilinear(rounded, g, query), golden.Floats(prefix + "trilinear_f16grid"));
    EXPECT_EQ(SampleTrilinear(udf, g, query, GridPosition::kTimesHalfSide),
              golden.Floats(prefix + "trilinear_utils"));
  }
}

TEST(Golden, NothingOccupied) {
  EXPECT_EQ(UnsignedDistanceGrid(std::vector<uint8_t>(64, 0), 4),
            Golden("b_shapes/functions").Floats("edt_no_occupied_4"));
}

TEST(Golden, Centres) { EXPECT_EQ(Flat(GridCentres(7)), Golden("b_shapes/functions").Floats("centers_G7")); }

TEST(Golden, StagesOfWholeShapes) {
  for (const GoldenShape& shape : kGoldenShapes) {
    SCOPED_TRACE(shape.name);
    const Golden golden(absl::StrCat("b_shapes/stages/", shape.name));
    const PointsF cloud = golden.PointsOf("cache/pc_xyz");
    const std::vector<float> expected_udf = golden.Floats("udf_f32");
    const int g = static_cast<int>(std::lround(std::cbrt(expected_udf.size())));
    std::vector<uint8_t> occupancy = Occupancy(cloud, g);
    for (int rounds = 0; rounds <= 3; ++rounds) {
      EXPECT_EQ(occupancy, golden.Bytes(absl::StrCat("occ_dilate", rounds)));
      Dilate(&occupancy, g, 1);
    }
    const std::vector<float> udf = UnsignedDistanceGrid(golden.Bytes("cache/occ_grid"), g);
    EXPECT_EQ(udf, expected_udf);
    EXPECT_EQ(SampleTrilinear(udf, g, golden.PointsOf("cache/pt_xyz_pool")),
              golden.Floats("cache/pt_dist_udf_pool"));
  }
}

std::vector<uint8_t> RandomOccupancy(int g, int64_t occupied, NumpyRandomState& random) {
  std::vector<uint8_t> occupancy(static_cast<size_t>(g) * g * g, 0);
  for (int64_t i = 0; i < occupied; ++i) occupancy[random.RandInt(0, occupancy.size())] = 1;
  return occupancy;
}

TEST(SquaredDistanceTransform, EqualsBruteForce) {
  NumpyRandomState random(1);
  for (const int g : {1, 2, 3, 7, 9, 17, 63, 64, 65, 66}) {
    for (const int occupied : {1, 2, 30}) {
      const std::vector<uint8_t> occupancy = RandomOccupancy(g, occupied, random);
      std::vector<std::array<int, 3>> sites;
      for (int i = 0; i < g * g * g; ++i) {
        if (occupancy[i]) sites.push_back({i / (g * g), i / g % g, i % g});
      }
      const std::vector<int32_t> transform = SquaredDistanceTransform(occupancy, g);
      for (int i = 0; i<g * g * g; i += g> 20 ? 5 : 1) {
        int best = std::numeric_limits<int>::max();
        for (const auto& s : sites) {
          const int dx = i / (g * g) - s[0], dy = i / g % g - s[1], dz = i % g - s[2];
          best = std::min(best, dx * dx + dy * dy + dz * dz);
        }
        ASSERT_EQ(transform[i], best) << g << " " << occupied << " " << i;
      }
    }
  }
}

TEST(SquaredDistanceTransform, FromOneCornerToAnother) {
  for (const int g : {64, 65}) {
    std::vector<uint8_t> occupancy(g * g * g, 0);
    occupancy[0] = 1;
    EXPECT_EQ(SquaredDistanceTransform(occupancy, g).back(), 3 * (g - 1) * (g - 1));
  }
}

TEST(SquaredDistanceTransform, AcrossALargeGrid) {
  const int g = 150;
  std::vector<uint8_t> occupancy(static_cast<size_t>(g) * g * g, 0);
  occupancy.back() = 1;
  const std::vector<int32_t> transform = SquaredDistanceTransform(occupancy, g);
  EXPECT_EQ(transform[0], 3 * (g - 1) * (g - 1));
  EXPECT_EQ(transform[g - 1], 2 * (g - 1) * (g - 1));
}

TEST(Dilate, IsTheL1Ball) {
  const int g = 9;
  for (int rounds = 0; rounds <= 5; ++rounds) {
    std::vector<uint8_t> occupancy(g * g * g, 0);
    occupancy[(3 * g + 0) * g + 8] = 1;  // on two faces: nothing may wrap round
    Dilate(&occupancy, g, rounds);
    for (int i = 0; i < g * g * g; ++i) {
      const int distance = std::abs(i / (g * g) - 3) + i / g % g + (8 - i % g);
      ASSERT_EQ(occupancy[i], distance <= rounds) << rounds << " " << i;
    }
  }
  std::vector<uint8_t> whole(g * g * g, 0);
  whole[0] = 1;
  Dilate(&whole, g, 1 << 30);
  EXPECT_EQ(std::count(whole.begin(), whole.end(), 1), g * g * g);
}

TEST(CellIndex, ClampsAndSurvivesAnything) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const int g : {1, 5, 64, 512}) {
    EXPECT_EQ(CellIndex(-1, g), 0);
    EXPECT_EQ(CellIndex(1, g), g - 1);
    EXPECT_EQ(CellIndex(-kInf, g), 0);
    EXPECT_EQ(CellIndex(kInf, g), g - 1);
    EXPECT_EQ(CellIndex(std::nanf(""), g), 0);
    EXPECT_EQ(CellIndex(3e38f, g), g - 1);
  }
}

TEST(GridCentres, FallIntoTheirOwnCells) {
  for (const int g : {1, 2, 7, 24, 40}) {
    const std::vector<int32_t> cells = CellIndices(GridCentres(g), g);
    for (int i = 0; i < g * g * g; ++i) ASSERT_EQ(cells[i], i) << g;
  }
}

TEST(SampleTrilinear, ReproducesLinearFunctionsInside) {
  NumpyRandomState random(2);
  for (const int g : {4, 10, 33}) {
    const PointsF centres = GridCentres(g);
    const Eigen::Vector3f slope(0.3f, -0.7f, 0.5f);
    const Eigen::VectorXf values = centres * slope;
    const PointsF points = RandomPoints(500, 1 - 1.0 / g, random);
    for (const auto position : {GridPosition::kDivideByVoxel, GridPosition::kTimesHalfSide}) {
      const std::vector<float> sampled =
          SampleTrilinear({values.data(), centres.rows() * size_t{1}}, g, points, position);
      for (int i = 0; i < 500; ++i) ASSERT_NEAR(sampled[i], points.row(i).dot(slope), 1e-5);
    }
  }
}

TEST(SampleTrilinear, IsConstantBeyondTheBorderCentres) {
  NumpyRandomState random(3);
  const int g = 6;
  std::vector<float> grid(g * g * g);
  for (float& v : grid) v = static_cast<float>(random.Double());
  PointsF outside(3, 3);
  outside << -5, -5, -5, 5, 5, 5, 1e30f, -1e30f, std::nanf("");
  const std::vector<float> sampled = SampleTrilinear(grid, g, outside);
  EXPECT_FLOAT_EQ(sampled[0], grid.front());
  EXPECT_FLOAT_EQ(sampled[1], grid.back());
}

}  // namespace
}  // namespace manyform

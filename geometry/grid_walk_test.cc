#include "geometry/grid_walk.h"

#include <cmath>
#include <vector>

#include "geometry/grid.h"
#include "geometry/testing/golden.h"
#include "geometry/testing/shapes.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(Golden, Slabs) {
  const Golden golden("b_shapes/functions");
  const CubeCrossings crossings = CrossCube(golden.PointsOf("walk/o"), golden.PointsOf("walk/d"));
  EXPECT_EQ(crossings.hit, golden.Bytes("walk/slab_hit"));
  EXPECT_EQ(crossings.t_entry, golden.Floats("walk/t_entry"));
  EXPECT_EQ(crossings.t_exit, golden.Floats("walk/t_exit"));
}

TEST(Golden, WalksThroughFourGrids) {
  const Golden golden("b_shapes/functions");
  const PointsF origins = golden.PointsOf("walk/o"), directions = golden.PointsOf("walk/d");
  const PointsF cloud = golden.PointsOf("walk/pc_xyz"), normals = golden.PointsOf("walk/pc_n");
  const auto tree = NearestPoints::Create(cloud);
  ASSERT_TRUE(tree.ok());
  struct Case {
    int g, dilate, max_steps;
  };
  for (const Case& c : {Case{32, 1, 0}, Case{64, 1, 0}, Case{24, 0, 0}, Case{16, 2, 10}}) {
    const std::string key = absl::StrCat("walk/G", c.g, "_d", c.dilate, "_m", c.max_steps);
    SCOPED_TRACE(key);
    std::vector<uint8_t> occupancy = Occupancy(cloud, c.g);
    Dilate(&occupancy, c.g, c.dilate);
    const RayAnswers answers =
        WalkPointCloud(occupancy, c.g, origins, directions, *tree, normals, {.max_steps = c.max_steps});
    const std::vector<uint8_t> hit = golden.Bytes(key + "_hit");
    EXPECT_EQ(answers.hit, std::vector<float>(hit.begin(), hit.end()));
    EXPECT_EQ(answers.t, golden.Floats(key + "_t"));
    EXPECT_EQ(Flat(answers.normals), golden.Floats(key + "_n"));
    const GridHits backend = WalkGrid(occupancy, c.g, origins, directions,
                                      {.max_steps = c.max_steps, .first_crossing = FirstCrossing::kDouble});
    EXPECT_EQ(backend.hit, golden.Bytes(key + "_voxelbackend_hit"));
    EXPECT_EQ(backend.t, golden.Floats(key + "_voxelbackend_t"));
  }
}

TEST(Golden, RayAnswersOfWholeShapes) {
  struct Case {
    const char* name;
    int g, dilate, max_steps;
  };
  for (const Case& c :
       {Case{"sphere", 32, 1, 0}, Case{"box", 32, 1, 0}, Case{"torus", 24, 0, 0}, Case{"capsule", 32, 1, 0},
        Case{"lshape", 32, 1, 0}, Case{"two", 32, 1, 0}, Case{"sheet", 32, 2, 20}, Case{"dirty", 32, 1, 0}}) {
    SCOPED_TRACE(c.name);
    const Golden golden(absl::StrCat("b_shapes/stages/", c.name));
    const PointsF origins = golden.PointsOf("cache/ray_o_pool"),
                  directions = golden.PointsOf("cache/ray_d_pool");
    const CubeCrossings crossings = CrossCube(origins, directions);
    EXPECT_EQ(crossings.hit, golden.Bytes("slab_hit"));
    EXPECT_EQ(crossings.t_entry, golden.Floats("slab_t_entry"));
    EXPECT_EQ(crossings.t_exit, golden.Floats("slab_t_exit"));
    const PointsF cloud = golden.PointsOf("cache/pc_xyz");
    const auto tree = NearestPoints::Create(cloud);
    ASSERT_TRUE(tree.ok());
    std::vector<uint8_t> occupancy = Occupancy(cloud, c.g);
    Dilate(&occupancy, c.g, c.dilate);
    const RayAnswers answers = WalkPointCloud(occupancy, c.g, origins, directions, *tree,
                                              golden.PointsOf("cache/pc_n"), {.max_steps = c.max_steps});
    EXPECT_EQ(answers.hit, golden.Floats("cache/ray_hit_pc_pool"));
    EXPECT_EQ(answers.t, golden.Floats("cache/ray_t_pc_pool"));
    EXPECT_EQ(Flat(answers.normals), golden.Floats("cache/ray_n_pc_pool"));
  }
}

// Depth at which the ray enters the cell's box, or -1; plain double slabs.
double BoxEntry(const Eigen::Vector3d& o, const Eigen::Vector3d& d, const Eigen::Vector3d& low, double side) {
  double entry = 0, exit = 1e30;
  for (int k = 0; k < 3; ++k) {
    const double a = (low[k] - o[k]) / d[k], b = (low[k] + side - o[k]) / d[k];
    entry = std::max(entry, std::min(a, b));
    exit = std::min(exit, std::max(a, b));
  }
  return exit > entry + 1e-5 ? entry : -1;  // grazed cells may fall either way
}

TEST(WalkGrid, FindsTheNearestOccupiedBox) {
  NumpyRandomState random(7);
  const int g = 12;
  int hits = 0;
  for (int round = 0; round < 20; ++round) {
    const PointsF cloud = RandomPoints(25, 1, random);
    const std::vector<uint8_t> occupancy = Occupancy(cloud, g);
    const PointsF directions = RandomDirections(100, random);
    const PointsF origins = RandomPoints(100, 0.9, random) - 2.5f * directions;
    const GridHits walked = WalkGrid(occupancy, g, origins, directions);
    const GridHits exact =
        WalkGrid(occupancy, g, origins, directions, {.first_crossing = FirstCrossing::kDouble});
    EXPECT_EQ(walked.hit, exact.hit);
    for (int i = 0; i < 100; ++i) {
      double nearest = 1e30;
      for (int cell = 0; cell < g * g * g; ++cell) {
        if (!occupancy[cell]) continue;
        const Eigen::Vector3d low =
            Eigen::Vector3d(cell / (g * g), cell / g % g, cell % g) * (2.0 / g) - Eigen::Vector3d::Ones();
        const double t =
            BoxEntry(origins.row(i).cast<double>(), directions.row(i).cast<double>(), low, 2.0 / g);
        if (t >= 0) nearest = std::min(nearest, t);
      }
      if (nearest < 1e30) {
        ASSERT_TRUE(walked.hit[i]);
        ASSERT_LE(walked.t[i], nearest + 1e-5);
        if (walked.t[i] > nearest - 1e-5) ++hits;
      }
      ASSERT_NEAR(walked.t[i], exact.t[i], 1e-6);
    }
  }
  EXPECT_GT(hits, 400);
}

TEST(WalkGrid, StepsAreLimited) {
  std::vector<uint8_t> occupancy(8 * 8 * 8, 0);
  occupancy[(7 * 8 + 4) * 8 + 4] = 1;
  PointsF origin(1, 3), direction(1, 3);
  origin << -2, 0.1f, 0.1f;
  direction << 1, 0, 0;
  EXPECT_EQ(WalkGrid(occupancy, 8, origin, direction, {.max_steps = 7}).hit[0], 0);
  const GridHits found = WalkGrid(occupancy, 8, origin, direction, {.max_steps = 8});
  EXPECT_EQ(found.hit[0], 1);
  EXPECT_FLOAT_EQ(found.t[0], 2.75f);
}

TEST(WalkGrid, OddRaysEndWithoutHarm) {
  std::vector<uint8_t> occupancy(5 * 5 * 5, 0);
  PointsF origins(5, 3), directions(5, 3);
  const float nan = std::nanf("");
  origins << 0, 0, 0, nan, 0, 0, 3, 3, 3, 0, 0, 0, 1e30f, 0, 0;
  directions << 0, 0, 0, 1, 0, 0, 1, 0, 0, nan, nan, nan, -1, 0, 0;
  const GridHits hits = WalkGrid(occupancy, 5, origins, directions);
  EXPECT_EQ(hits.hit, std::vector<uint8_t>(5, 0));
}

}  // namespace
}  // namespace manyform

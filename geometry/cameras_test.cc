#include "geometry/cameras.h"

#include <cmath>
#include <vector>

#include "geometry/testing/golden.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(Golden, CameraPositions) {
  const Golden golden("b_shapes/functions");
  for (const int n : {1, 2, 7, 20}) {
    EXPECT_EQ(Flat(CameraPositions(n)), golden.Floats(absl::StrCat("cams", n))) << n;
  }
}

TEST(Golden, LookAt) {
  const Golden golden("b_shapes/functions");
  const PointsF positions = golden.PointsOf("look_at/in");
  const std::vector<float> expected = golden.Floats("look_at/out");
  for (Eigen::Index i = 0; i < positions.rows(); ++i) {
    EXPECT_EQ(Flat(LookAtOrigin(positions.row(i))),
              std::vector<float>(expected.begin() + 9 * i, expected.begin() + 9 * (i + 1)))
        << i;
  }
}

TEST(Golden, RaysOfWholeShapes) {
  for (const GoldenShape& shape : kGoldenShapes) {
    SCOPED_TRACE(shape.name);
    const Golden golden(absl::StrCat("b_shapes/stages/", shape.name));
    const PointsF cameras = golden.PointsOf("cams_f32");
    const std::vector<float> look_at = golden.Floats("look_at_f32");
    EXPECT_EQ(Flat(CameraPositions(static_cast<int>(cameras.rows()))), Flat(cameras));
    for (Eigen::Index i = 0; i < cameras.rows(); ++i) {
      EXPECT_EQ(Flat(LookAtOrigin(cameras.row(i))),
                std::vector<float>(look_at.begin() + 9 * i, look_at.begin() + 9 * (i + 1)));
    }
  }
}

// The stream of a shape whose distances are measured to the mesh: see the order of draws in the cache
// builder.
void SkipToRays(int64_t pc, int64_t pool, double surface_ratio, NumpyRandomState& random) {
  random.Rand(3 * pc);
  const int64_t uniform = std::lround(std::nearbyint((1 - surface_ratio) * pool));
  random.UniformVector(-1, 1, 3 * uniform);
  ASSERT_TRUE(random.Choice(pc, pool - uniform, pc < pool - uniform).ok());
  random.NormalVector(0, 0.02, 3 * (pool - uniform));
}

TEST(Golden, RaysBitForBit) {
  struct Case {
    const char* name;
    uint32_t seed;
    double surface_ratio;
    int64_t pool;
    RayPoolOptions options;
  };
  for (const Case& c :
       {Case{"sphere", 100, 0.5, 600, {20, 12, 240}}, Case{"torus", 102, 0.25, 600, {20, 12, 240}},
        Case{"capsule", 103, 0.5, 600, {7, 5, 200}}, Case{"two", 105, 0.9, 601, {20, 12, 240}}}) {
    SCOPED_TRACE(c.name);
    const Golden golden(absl::StrCat("b_shapes/stages/", c.name));
    NumpyRandomState random(c.seed);
    SkipToRays(256, c.pool, c.surface_ratio, random);
    const auto rays = GenerateRays(c.options, random);
    ASSERT_TRUE(rays.ok()) << rays.status();
    EXPECT_EQ(EffectiveRaysPerView(c.options), golden.Longs("rays_per_view_eff")[0]);
    EXPECT_EQ(Flat(rays->origins), golden.Floats("cache/ray_o_pool"));
    EXPECT_EQ(Flat(rays->directions), golden.Floats("cache/ray_d_pool"));
    EXPECT_EQ(random.Next32(), golden.Words("next_u32_after_rays")[0]);
  }
}

TEST(GenerateRays, DrawsAllViewsInFull) {
  NumpyRandomState a(3), b(3);
  ASSERT_TRUE(GenerateRays({.n_views = 4, .rays_per_view = 10, .n_rays = 3}, a).ok());
  b.Rand(4 * 10 * 2);
  EXPECT_EQ(a.Next32(), b.Next32());
}

TEST(GenerateRays, StayInTheViewingPyramid) {
  NumpyRandomState random(4);
  const auto rays = GenerateRays({.n_views = 5, .rays_per_view = 1, .n_rays = 999}, random);
  ASSERT_TRUE(rays.ok());
  ASSERT_EQ(rays->directions.rows(), 999);
  for (Eigen::Index i = 0; i < 999; ++i) {
    const Eigen::Vector3f d = rays->directions.row(i), o = rays->origins.row(i);
    EXPECT_NEAR(d.norm(), 1, 1e-6);
    EXPECT_NEAR(o.norm(), 2.2, 1e-6);
    // The corner of the pyramid is at tan = sqrt(2) tan 30 degrees.
    EXPECT_GT(d.dot(-o.normalized()), std::cos(std::atan(std::sqrt(2.0) * std::tan(M_PI / 6))) - 1e-5);
  }
}

TEST(GenerateRays, RefusesImpossibleCounts) {
  NumpyRandomState random(0);
  EXPECT_THAT(GenerateRays({.n_views = 0}, random).status().message(),
              ::testing::HasSubstr("at least one view"));
  EXPECT_FALSE(GenerateRays({.n_views = -1, .n_rays = 0}, random).ok());
  EXPECT_FALSE(GenerateRays({.rays_per_view = -1}, random).ok());
  const auto none = GenerateRays({.n_views = 0, .n_rays = 0}, random);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->origins.rows(), 0);
}

}  // namespace
}  // namespace manyform

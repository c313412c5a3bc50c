#include "geometry/render.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/png_writer.h"
#include "geometry/testing/shapes.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Rgb = std::array<int, 3>;

Rgb At(const Image& image, int x, int y) {
  const size_t i = 3 * (static_cast<size_t>(y) * image.width + x);
  return {image.rgb[i], image.rgb[i + 1], image.rgb[i + 2]};
}

// Luma, 0 to 255.
double Brightness(const Image& image, int x, int y) {
  const Rgb c = At(image, x, y);
  return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
}

const RenderOptions kDefault;

bool IsBackground(const Image& image, int x, int y) {
  return At(image, x, y) == Rgb{kDefault.background[0], kDefault.background[1], kDefault.background[2]};
}

int Covered(const Image& image) {
  int covered = 0;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) covered += !IsBackground(image, x, y);
  }
  return covered;
}

// Pictures for people, kept when the test runner keeps outputs.
void Keep(const Image& image, const std::string& name) {
  const auto png = EncodePng(image);
  ASSERT_TRUE(png.ok()) << png.status();
  if (const char* folder = std::getenv("TEST_UNDECLARED_OUTPUTS_DIR")) {
    ASSERT_TRUE(WriteFileAtomically(JoinPath(folder, name), *png).ok());
  }
}

TEST(RenderMesh, ASphereIsADiscThatNearlyFillsThePicture) {
  const Image image = RenderMesh(SphereMesh(3, 40, 80));
  Keep(image, "sphere.png");
  ASSERT_EQ(image.width, 192);
  ASSERT_EQ(image.rgb.size(), 192u * 192 * 3);
  EXPECT_TRUE(IsBackground(image, 2, 2));
  EXPECT_FALSE(IsBackground(image, 96, 96));
  int left = 192, right = 0, top = 192, bottom = 0;
  for (int y = 0; y < 192; ++y) {
    for (int x = 0; x < 192; ++x) {
      if (IsBackground(image, x, y)) continue;
      left = std::min(left, x), right = std::max(right, x), top = std::min(top, y),
      bottom = std::max(bottom, y);
    }
  }
  EXPECT_NEAR(right - left, bottom - top, 3);
  EXPECT_GT(right - left, 170);
  EXPECT_GT(left, 1);
  EXPECT_NEAR(left + right, 191, 3);
  const double radius = (right - left + 1) / 2.0;
  EXPECT_NEAR(Covered(image), M_PI * radius * radius, 0.03 * M_PI * radius * radius);
  // The key light comes from the upper left.
  EXPECT_GT(Brightness(image, 60, 60), Brightness(image, 130, 140) + 20);
}

TEST(RenderMesh, SizeAndPlaceDoNotMatterWhenFitted) {
  TriangleMesh torus = TorusMesh(0.7, 0.25, 40, 20);
  const Image image = RenderMesh(torus);
  Keep(image, "torus.png");
  torus.vertices *= 8;
  torus.vertices.rowwise() += Eigen::RowVector3d(64, -32, 16);
  EXPECT_EQ(RenderMesh(torus).rgb, image.rgb);
}

TEST(RenderMesh, TheNearerSurfaceWinsInAnyOrder) {
  // A small box in front of a large one, seen along x.
  RenderOptions options{.azimuth = 0, .elevation = 0, .auto_fit = false};
  TriangleMesh wall = BoxMesh(0.01, 0.8, 0.8), box = BoxMesh(0.05, 0.3, 0.3);
  box.vertices.col(0).array() += 0.5;
  TriangleMesh tilted = box;  // another normal, so another shade
  for (Eigen::Index i = 0; i < 8; ++i) tilted.vertices(i, 0) += 0.4 * tilted.vertices(i, 1);
  const auto join = [](const TriangleMesh& a, const TriangleMesh& b) {
    TriangleMesh both{PointsD(16, 3), Faces(24, 3)};
    both.vertices << a.vertices, b.vertices;
    both.faces << a.faces, (b.faces.array() + 8).matrix();
    return both;
  };
  const Image front_last = RenderMesh(join(wall, tilted), options),
              front_first = RenderMesh(join(tilted, wall), options);
  EXPECT_EQ(front_last.rgb, front_first.rgb);
  EXPECT_NE(At(front_last, 96, 96), At(RenderMesh(wall, options), 96, 96));
  EXPECT_EQ(At(front_last, 96, 96), At(RenderMesh(tilted, options), 96, 96));
}

TEST(RenderMesh, BoxSidesHaveThreeShades) {
  const Image image = RenderMesh(BoxMesh(1, 1, 1));
  Keep(image, "box.png");
  std::vector<Rgb> shades;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 1; x < image.width; ++x) {
      if (!IsBackground(image, x, y) && At(image, x, y) == At(image, x - 1, y))
        shades.push_back(At(image, x, y));
    }
  }
  std::sort(shades.begin(), shades.end());
  int large = 0;
  for (size_t i = 0; i < shades.size();) {
    const size_t end = std::upper_bound(shades.begin(), shades.end(), shades[i]) - shades.begin();
    large += end - i > 500;
    i = end;
  }
  EXPECT_EQ(large, 3);
}

TEST(RenderMesh, EmptyAndBrokenMeshesAreBackground) {
  EXPECT_EQ(Covered(RenderMesh(TriangleMesh{})), 0);
  TriangleMesh broken = BoxMesh(1, 1, 1);
  broken.vertices.setConstant(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(Covered(RenderMesh(broken)), 0);
  TriangleMesh dangling = BoxMesh(1, 1, 1);
  dangling.faces.setConstant(99);
  EXPECT_EQ(Covered(RenderMesh(dangling)), 0);
  TriangleMesh huge = BoxMesh(1e100, 1e100, 1e100);
  EXPECT_GT(Covered(RenderMesh(huge)), 0);
}

TEST(RenderPoints, NormalsShadeAndBallsStandIn) {
  NumpyRandomState random(1);
  const PointsF sparse = RandomDirections(2000, random), dense = RandomDirections(20000, random);
  Keep(RenderPoints(sparse, sparse), "points_normals.png");
  Keep(RenderPoints(sparse), "points.png");
  const Image with = RenderPoints(dense, dense), without = RenderPoints(dense);
  EXPECT_GT(Covered(with), 23000);
  EXPECT_EQ(Covered(with), Covered(without));
  EXPECT_NE(with.rgb, without.rgb);
  // As on the mesh, the key light comes from the upper left.
  EXPECT_GT(Brightness(with, 60, 60), Brightness(with, 130, 140) + 20);
}

TEST(RenderPoints, OddInputs) {
  EXPECT_EQ(Covered(RenderPoints(PointsF(0, 3))), 0);
  PointsF points = PointsF::Constant(3, 3, std::nanf(""));
  EXPECT_EQ(Covered(RenderPoints(points)), 0);
  points.row(1).setZero();
  EXPECT_GT(Covered(RenderPoints(points)), 0);
  EXPECT_EQ(Covered(RenderPoints(PointsF::Constant(1, 3, 50), std::nullopt, {.auto_fit = false})), 0);
}

TEST(RenderSlice, ColoursGetLighterAndTheContourIsWhereTheValueIs) {
  const int n = 32;
  std::vector<float> ramp(n * n);
  for (int i = 0; i < n * n; ++i) ramp[i] = static_cast<float>(i % n) / (n - 1);
  const Image image = RenderSlice(ramp, n, n, {.low = 0, .high = 1, .contour = std::nullopt});
  Keep(image, "ramp.png");
  for (int x = 8; x + 8 < 192; ++x) EXPECT_GT(Brightness(image, x, 90), Brightness(image, x - 4, 90)) << x;
  const Image lined = RenderSlice(ramp, n, n, {.low = 0, .high = 1, .contour = 0.5f});
  EXPECT_GT(Brightness(lined, 95, 90), 230);
  EXPECT_EQ(At(lined, 30, 90), At(image, 30, 90));
}

TEST(RenderSlice, RowsGrowUpwardsAndNonFiniteIsGrey) {
  const std::vector<float> values = {0, 0, 1, std::numeric_limits<float>::infinity()};
  const Image image = RenderSlice(values, 2, 2, {.width = 40, .height = 40, .contour = std::nullopt});
  EXPECT_GT(Brightness(image, 0, 0), Brightness(image, 0, 39) + 100);
  const Rgb grey = At(image, 39, 0);
  EXPECT_TRUE(grey[0] == grey[1] && grey[1] == grey[2]);
  EXPECT_EQ(RenderSlice(std::vector<float>{0.5f}, 1, 1).rgb.size(), 192u * 192 * 3);
}

TEST(JoinHorizontally, PutsPicturesSideBySide) {
  const Image a{1, 2, {1, 2, 3, 4, 5, 6}}, b{2, 1, {7, 7, 7, 8, 8, 8}};
  const std::vector<Image> both = {a, b};
  const Image joined = JoinHorizontally(both, 1);
  EXPECT_EQ(joined.width, 4);
  EXPECT_EQ(joined.height, 2);
  EXPECT_EQ(joined.rgb, (std::vector<uint8_t>{1, 2, 3, 255, 255, 255, 7,   7,   7,   8,   8,   8,
                                              4, 5, 6, 255, 255, 255, 255, 255, 255, 255, 255, 255}));
  EXPECT_EQ(JoinHorizontally({}).rgb.size(), 0u);
}

}  // namespace
}  // namespace manyform

#include "geometry/marching_cubes.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numbers>
#include <utility>
#include <vector>

#include "base/numpy_random.h"
#include "geometry/grid.h"
#include "geometry/mesh.h"
#include "geometry/nearest.h"
#include "geometry/testing/golden.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

std::vector<float> Field(int g, const std::function<double(double, double, double)>& f) {
  const PointsF centres = GridCentres(g);
  std::vector<float> grid(centres.rows());
  for (Eigen::Index i = 0; i < centres.rows(); ++i) {
    grid[i] = static_cast<float>(f(centres(i, 0), centres(i, 1), centres(i, 2)));
  }
  return grid;
}

double SphereDistance(double x, double y, double z) { return std::sqrt(x * x + y * y + z * z) - 0.7; }
double TorusDistance(double x, double y, double z) { return std::hypot(std::hypot(x, y) - 0.6, z) - 0.2; }

TEST(ExtractIsosurface, ASphereIsClosedAndRound) {
  const int g = 64;
  const auto mesh = ExtractIsosurface(Field(g, SphereDistance), g, CellCentreIsosurface(g, 0));
  ASSERT_TRUE(mesh.ok()) << mesh.status();
  EXPECT_TRUE(IsWatertight(*mesh));
  EXPECT_EQ(mesh->vertices.rows() - mesh->faces.rows() / 2, 2) << "Euler's formula";
  EXPECT_NEAR(Volume(*mesh), 4 / 3.0 * std::numbers::pi * 0.343, 2e-3);
  EXPECT_NEAR(TotalArea(*mesh), 4 * std::numbers::pi * 0.49, 6e-3);
  for (Eigen::Index i = 0; i < mesh->vertices.rows(); ++i)
    ASSERT_NEAR(mesh->vertices.row(i).norm(), 0.7, 2e-4);
}

TEST(ExtractIsosurface, ATorusHasOneHole) {
  const int g = 48;
  const auto mesh = ExtractIsosurface(Field(g, TorusDistance), g, CellCentreIsosurface(g, 0));
  ASSERT_TRUE(mesh.ok());
  EXPECT_TRUE(IsWatertight(*mesh));
  EXPECT_EQ(mesh->vertices.rows() - mesh->faces.rows() / 2, 0);
  EXPECT_NEAR(Volume(*mesh), 2 * std::numbers::pi * std::numbers::pi * 0.6 * 0.04, 5e-3);
}

TEST(ExtractIsosurface, APlaneIsWhereItIs) {
  const int g = 9;
  const auto mesh = ExtractIsosurface(Field(g, [](double x, double y, double z) { return x + 2 * y - z; }), g,
                                      CellCentreIsosurface(g, 0.25f));
  ASSERT_TRUE(mesh.ok());
  ASSERT_GT(mesh->faces.rows(), 50);
  for (Eigen::Index i = 0; i < mesh->vertices.rows(); ++i) {
    ASSERT_NEAR(mesh->vertices(i, 0) + 2 * mesh->vertices(i, 1) - mesh->vertices(i, 2), 0.25, 1e-6);
  }
  const PointsD normals = FaceNormals(*mesh);
  const Eigen::RowVector3d up = Eigen::RowVector3d(1, 2, -1).normalized();
  for (Eigen::Index f = 0; f < normals.rows(); ++f) {
    if (normals.row(f).norm() == 0) continue;
    ASSERT_GT(normals.row(f).dot(up), 0.99);
  }
}

// Every directed edge once, every edge with its reverse unless it lies on the border of the grid.
void ExpectManifold(const TriangleMesh& mesh, double low, double high) {
  std::map<std::pair<int, int>, int> directed;
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    for (int k = 0; k < 3; ++k) ++directed[{mesh.faces(f, k), mesh.faces(f, (k + 1) % 3)}];
  }
  for (const auto& [edge, count] : directed) {
    ASSERT_EQ(count, 1) << edge.first << " " << edge.second;
    if (directed.count({edge.second, edge.first})) continue;
    bool on_border = false;
    for (int k = 0; k < 3; ++k) {
      const double a = mesh.vertices(edge.first, k), b = mesh.vertices(edge.second, k);
      on_border |= a == b && (a == low || a == high);
    }
    ASSERT_TRUE(on_border) << edge.first << " " << edge.second;
  }
}

TEST(ExtractIsosurface, NoiseOfEveryDensityIsManifold) {
  // Noise shows all 256 patterns of a cell many times, with all patterns beside them.
  NumpyRandomState random(1);
  const int g = 14;
  for (const double level : {0.1, 0.3, 0.5, 0.7, 0.9}) {
    std::vector<float> grid(g * g * g);
    for (float& v : grid) v = static_cast<float>(random.Double());
    const auto mesh = ExtractIsosurface(grid, g, {.level = static_cast<float>(level)});
    ASSERT_TRUE(mesh.ok());
    ASSERT_GT(mesh->faces.rows(), 500);
    ExpectManifold(*mesh, 0, g - 1);
  }
}

TEST(ExtractIsosurface, NoiseInsideAMarginIsWatertight) {
  NumpyRandomState random(2);
  const int g = 12;
  std::vector<float> grid(g * g * g, 1.0f);
  double inside = 0;
  for (int x = 1; x + 1 < g; ++x) {
    for (int y = 1; y + 1 < g; ++y) {
      for (int z = 1; z + 1 < g; ++z) {
        grid[(x * g + y) * g + z] = random.Double() < 0.5 ? 0.0f : 1.0f;
        inside += grid[(x * g + y) * g + z] == 0;
      }
    }
  }
  const auto mesh = ExtractIsosurface(grid, g, {.level = 0.5f});
  ASSERT_TRUE(mesh.ok());
  EXPECT_TRUE(IsWatertight(*mesh));
  EXPECT_GT(Volume(*mesh), inside / 10);
}

TEST(ExtractIsosurface, EmptyAndRefused) {
  std::vector<float> grid(27, 1.0f);
  const auto empty = ExtractIsosurface(grid, 3, {.level = 0.5f});
  ASSERT_TRUE(empty.ok());
  EXPECT_EQ(empty->faces.rows(), 0);
  EXPECT_EQ(empty->vertices.rows(), 0);
  EXPECT_THAT(ExtractIsosurface(grid, 4, {}).status().message(),
              ::testing::HasSubstr("side 4 has 27 values"));
  EXPECT_FALSE(ExtractIsosurface({}, 0, {}).ok());
  grid[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(ExtractIsosurface(grid, 3, {}).status().message(),
              ::testing::HasSubstr("value 5 is not finite"));
}

TEST(Golden, VerticesInBothConventions) {
  const Golden golden("f_eval/mesh_eval");
  struct Case {
    const char* name;
    int g;
    float level;
  };
  for (const Case& c : {Case{"sphere_udf", 16, 0.15f}, Case{"torus_sdf", 18, 0.02f}}) {
    const std::vector<float> grid = golden.Floats(absl::StrCat(c.name, "/grid"));
    for (const bool centre : {false, true}) {
      SCOPED_TRACE(absl::StrCat(c.name, centre ? " centre" : " corner"));
      const auto mesh = ExtractIsosurface(
          grid, c.g, centre ? CellCentreIsosurface(c.g, c.level) : CornerIsosurface(c.g, c.level));
      ASSERT_TRUE(mesh.ok());
      const PointsF expected =
          golden.PointsOf(absl::StrCat(c.name, centre ? "/voxel_centre_verts" : "/corner_convention_verts"));
      ASSERT_EQ(mesh->vertices.rows(), expected.rows());
      const auto tree = NearestPoints::Create(expected);
      ASSERT_TRUE(tree.ok());
      std::vector<bool> met(expected.rows(), false);
      const PointsF vertices = mesh->vertices.cast<float>();
      for (Eigen::Index i = 0; i < vertices.rows(); ++i) {
        const auto nearest = tree->Nearest(vertices.row(i).data());
        ASSERT_LT(std::sqrt(nearest.squared_distance), 1e-6);
        met[nearest.index] = true;
      }
      EXPECT_EQ(std::count(met.begin(), met.end(), false), 0);
    }
  }
}

}  // namespace
}  // namespace manyform

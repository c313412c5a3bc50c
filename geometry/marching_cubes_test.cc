#include "geometry/marching_cubes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "Eigen/Geometry"
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

TEST(ExtractIsosurface, ABoxHasItsAreaAndVolume) {
  const int g = 50;
  const Eigen::Array3d half(0.61, 0.43, 0.27);
  const auto grid = Field(g, [&](double x, double y, double z) {
    const Eigen::Array3d q = Eigen::Array3d(x, y, z).abs() - half;
    return q.max(0).matrix().norm() + std::min(q.maxCoeff(), 0.0);
  });
  const auto mesh = ExtractIsosurface(grid, g, CellCentreIsosurface(g, 0));
  ASSERT_TRUE(mesh.ok());
  EXPECT_TRUE(IsWatertight(*mesh));
  EXPECT_EQ(mesh->vertices.rows() - mesh->faces.rows() / 2, 2);
  EXPECT_NEAR(Volume(*mesh), 8 * half.prod(), 5e-3);
  EXPECT_NEAR(TotalArea(*mesh), 8 * (half[0] * half[1] + half[1] * half[2] + half[2] * half[0]), 0.15)
      << "edges are bevelled";
}

TEST(ExtractIsosurface, SidesAndSpacingMayDiffer) {
  // Rows longer than a word of signs, and as long as one.
  for (const std::array<int, 3>& size : {std::array<int, 3>{20, 33, 140}, {140, 20, 64}, {17, 64, 65}}) {
    IsosurfaceOptions options;
    options.level = 0.7;
    options.origin = {-1, -2, 3};
    for (int k = 0; k < 3; ++k) options.spacing[k] = 2.0 / (size[k] - 1);
    const Eigen::Vector3d centre = options.origin.array() + 1;
    std::vector<float> grid;
    for (int x = 0; x < size[0]; ++x) {
      for (int y = 0; y < size[1]; ++y) {
        for (int z = 0; z < size[2]; ++z) {
          const Eigen::Vector3d at =
              options.origin.array() + options.spacing.array() * Eigen::Array3d(x, y, z);
          grid.push_back(static_cast<float>((at - centre).norm()));
        }
      }
    }
    const auto mesh = ExtractIsosurface(grid, size, options);
    ASSERT_TRUE(mesh.ok()) << mesh.status();
    EXPECT_TRUE(IsWatertight(*mesh));
    EXPECT_EQ(mesh->vertices.rows() - mesh->faces.rows() / 2, 2);
    EXPECT_NEAR(Volume(*mesh), 4 / 3.0 * std::numbers::pi * 0.343, 0.03);
    for (Eigen::Index i = 0; i < mesh->vertices.rows(); ++i) {
      ASSERT_NEAR((mesh->vertices.row(i).transpose() - centre).norm(), 0.7, 5e-3);
    }
  }
}

TEST(ExtractIsosurface, WhatIsAtTheLevelIsInside) {
  // As scikit-image counts it: a point at the level among larger ones is a speck without extent.
  std::vector<float> grid(125, 1.0f);
  const size_t centre = 62;
  grid[centre] = 0.5f;
  const auto speck = ExtractIsosurface(grid, 5, {.level = 0.5});
  ASSERT_TRUE(speck.ok());
  EXPECT_EQ(speck->vertices.rows(), 6);
  EXPECT_EQ(speck->faces.rows(), 8);
  EXPECT_TRUE(IsWatertight(*speck));
  EXPECT_EQ(speck->vertices, PointsD::Constant(6, 3, 2));
  EXPECT_EQ(ExtractIsosurface(grid, 5, {.level = std::nextafter(0.5, 0)})->faces.rows(), 0);
  grid[centre] = 0;
  grid[centre + 1] = 0.5f;
  EXPECT_EQ(ExtractIsosurface(grid, 5, {.level = 0.5})->vertices.rows(), 10);
  for (float& v : grid) v = 1 - v;
  EXPECT_EQ(ExtractIsosurface(grid, 5, {.level = 0.5})->vertices.rows(), 6);
}

TEST(ExtractIsosurface, ValuesAtTheLevelAnywhereLeaveItWatertight) {
  NumpyRandomState random(4);
  const int g = 16;
  std::vector<float> grid(g * g * g, 1.0f);
  for (int i = 0; i < g * g * g; ++i) {
    const int x = i / (g * g), y = i / g % g, z = i % g;
    if (std::min({x, y, z}) > 0 && std::max({x, y, z}) < g - 1)
      grid[i] = static_cast<float>(random.RandInt(-1, 2));
  }
  for (const double level : {-1.0, -0.5, 0.0, 0.5}) {
    const auto mesh = ExtractIsosurface(grid, g, {.level = level});
    ASSERT_TRUE(mesh.ok());
    EXPECT_TRUE(mesh->vertices.allFinite());
    ASSERT_GT(mesh->faces.rows(), 1000);
    ExpectManifold(*mesh, 0, g - 1);
    EXPECT_TRUE(IsWatertight(*mesh));
  }
}

// How often the surface winds around a point: the sum of its faces' solid angles (Van Oosterom & Strackee).
double Winding(const TriangleMesh& mesh, const Eigen::RowVector3d& point) {
  double sum = 0;
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    Eigen::RowVector3d r[3];
    for (int k = 0; k < 3; ++k) r[k] = mesh.vertices.row(mesh.faces(f, k)) - point;
    const double l[3] = {r[0].norm(), r[1].norm(), r[2].norm()};
    sum += 2 * std::atan2(r[0].dot(r[1].cross(r[2])), l[0] * l[1] * l[2] + r[0].dot(r[1]) * l[2] +
                                                          r[1].dot(r[2]) * l[0] + r[2].dot(r[0]) * l[1]);
  }
  return sum / (4 * std::numbers::pi);
}

// One vertex on every grid edge whose ends differ, where the line between the ends' values says.
void ExpectVerticesOnCrossedEdges(const TriangleMesh& mesh, const std::vector<float>& grid, int g,
                                  double level) {
  std::map<std::array<int64_t, 3>, int> found;
  const auto rounded = [](const Eigen::RowVector3d& v) {
    return std::array<int64_t, 3>{std::llround(v[0] * 1e6), std::llround(v[1] * 1e6),
                                  std::llround(v[2] * 1e6)};
  };
  for (Eigen::Index i = 0; i < mesh.vertices.rows(); ++i) ++found[rounded(mesh.vertices.row(i))];
  const int step[3] = {g * g, g, 1};
  for (int i = 0; i < g * g * g; ++i) {
    const int at[3] = {i / (g * g), i / g % g, i % g};
    for (int axis = 0; axis < 3; ++axis) {
      if (at[axis] == g - 1) continue;
      const double from = grid[i], to = grid[i + step[axis]];
      if ((from <= level) == (to <= level)) continue;
      Eigen::RowVector3d expected(at[0], at[1], at[2]);
      expected[axis] += (level - from) / (to - from);
      ASSERT_EQ(found[rounded(expected)]--, 1) << i << " " << axis;
    }
  }
  // What is left lies within cells.
  for (const auto& [at, count] : found) {
    if (count == 0) continue;
    for (const int64_t coordinate : at) ASSERT_NE(coordinate % 1000000, 0);
  }
}

TEST(ExtractIsosurface, PartsInsideFromOutside) {
  // All patterns of one cell with random values inside a margin, and noise.
  NumpyRandomState random(5);
  for (int repeat = 0; repeat < 1100; ++repeat) {
    const int g = repeat < 1024 ? 4 : 7;
    std::vector<float> grid(g * g * g);
    for (int i = 0; i < g * g * g; ++i) {
      const int at[3] = {i / (g * g), i / g % g, i % g};
      const bool in_margin = *std::min_element(at, at + 3) == 0 || *std::max_element(at, at + 3) == g - 1;
      const int corner = (at[0] - 1) * 4 + (at[1] - 1) * 2 + at[2] - 1;
      const bool is_inside = !in_margin && (g == 4 ? repeat >> corner & 1 : random.Double() < 0.5);
      grid[i] = static_cast<float>(is_inside ? random.Uniform(-1, 0.29) : random.Uniform(0.31, 1));
    }
    const auto mesh = ExtractIsosurface(grid, g, {.level = 0.3});
    ASSERT_TRUE(mesh.ok());
    ExpectManifold(*mesh, 0, g - 1);
    ASSERT_EQ(IsWatertight(*mesh), mesh->faces.rows() > 0);
    ExpectVerticesOnCrossedEdges(*mesh, grid, g, 0.3);
    for (int i = 0; i < g * g * g; ++i) {
      const double winding = Winding(*mesh, Eigen::RowVector3d(i / (g * g), i / g % g, i % g));
      ASSERT_NEAR(winding, grid[i] <= 0.3 ? 1 : 0, 1e-9) << repeat << " " << i;
    }
    if (HasFailure()) FAIL() << repeat;
  }
}

TEST(ExtractIsosurface, SaddlesDecideAmbiguousFaces) {
  // The corners (0,0) and (1,1) of a face at z = 1 are inside; their walls meet if the saddle is too.
  for (const bool is_deep : {false, true}) {
    const float in = is_deep ? -3 : -1, out = is_deep ? 1 : 3;
    std::vector<float> grid(4 * 4 * 4, 3.0f);
    for (const int z : {1, 2}) {
      const auto at = [&](int x, int y) -> float& { return grid[(x * 4 + y) * 4 + z]; };
      at(1, 1) = at(2, 2) = in;
      at(1, 2) = at(2, 1) = out;
    }
    const auto mesh = ExtractIsosurface(grid, 4, {});
    ASSERT_TRUE(mesh.ok());
    EXPECT_EQ(CountComponents(*mesh), is_deep ? 1 : 2);
  }
}

TEST(ExtractIsosurface, EmptyAndRefused) {
  std::vector<float> grid(27, 1.0f);
  const auto empty = ExtractIsosurface(grid, 3, {.level = 0.5f});
  ASSERT_TRUE(empty.ok());
  EXPECT_EQ(empty->faces.rows(), 0);
  EXPECT_EQ(empty->vertices.rows(), 0);
  EXPECT_THAT(ExtractIsosurface(grid, 4, {}).status().message(),
              ::testing::HasSubstr("sides 4, 4, 4 came with 27 values"));
  EXPECT_FALSE(ExtractIsosurface({}, 0, {}).ok());
  EXPECT_FALSE(ExtractIsosurface(grid, {1, 3, 9}, {}).ok());
  EXPECT_FALSE(ExtractIsosurface(grid, {-3, -3, 3}, {}).ok());
  EXPECT_THAT(ExtractIsosurface(grid, 3, {.level = std::nan("")}).status().message(),
              ::testing::HasSubstr("level of an isosurface is to be finite"));
  for (const double spacing : {0.0, -1.0, std::nan("")}) {
    EXPECT_THAT(ExtractIsosurface(grid, 3, {.spacing = {1, spacing, 1}}).status().message(),
                ::testing::HasSubstr("spacing finite and positive"));
  }
  // Levels that no float reaches.
  for (const double level : {1e300, -1e300}) {
    EXPECT_EQ(ExtractIsosurface(grid, 3, {.level = level})->faces.rows(), 0);
  }
  grid[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(ExtractIsosurface(grid, 3, {}).status().message(),
              ::testing::HasSubstr("value (0,1,2) is not finite"));
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

TEST(Golden, VerticesOfAPredictedVolume) {
  // Noise of a model, 12 voxels wide; OBJ has six decimals. Both surfaces have a vertex on each of 1,029
  // crossed edges; scikit-image has nine more within cells, at places of its own.
  const Golden golden("f_eval/mesh_eval");
  const std::string folder = "qual/000_box_043/";
  const std::vector<double> expected = golden.Doubles(folder + "pred_mc_verts");
  const std::vector<float> grid = golden.Floats(folder + "pred_udf");
  const auto mesh = ExtractIsosurface(grid, 12, CellCentreIsosurface(12, 0.25));
  ASSERT_TRUE(mesh.ok());
  const PointsD theirs = Eigen::Map<const PointsD>(expected.data(), expected.size() / 3, 3);
  ASSERT_EQ(theirs.rows(), 1029 + 9);
  EXPECT_LE(mesh->vertices.rows(), 1029 + 9);
  int64_t met = 0;
  for (Eigen::Index i = 0; i < theirs.rows(); ++i) {
    met += (mesh->vertices.rowwise() - theirs.row(i)).rowwise().norm().minCoeff() < 2e-6;
  }
  EXPECT_EQ(met, 1029);
}

}  // namespace
}  // namespace manyform

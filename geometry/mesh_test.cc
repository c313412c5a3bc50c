#include "geometry/mesh.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <numeric>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "geometry/testing/golden.h"
#include "geometry/testing/shapes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TriangleMesh Mesh(const std::vector<Eigen::RowVector3d>& vertices,
                  const std::vector<Eigen::RowVector3i>& faces) {
  TriangleMesh mesh{PointsD(vertices.size(), 3), Faces(faces.size(), 3)};
  for (size_t i = 0; i < vertices.size(); ++i) mesh.vertices.row(i) = vertices[i];
  for (size_t i = 0; i < faces.size(); ++i) mesh.faces.row(i) = faces[i];
  return mesh;
}

TEST(MergeVertices, KeepsFirstAppearanceAndDropsTheUnused) {
  const auto merged = MergeVertices(
      Mesh({{9, 9, 9}, {1, 0, 0}, {0, 0, 0}, {0, 1, 0}, {1, 2e-9, 0}, {0, 0, 5}}, {{4, 3, 2}, {1, 2, 5}}));
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(merged->vertices, Mesh({{1, 0, 0}, {0, 0, 0}, {0, 1, 0}, {0, 0, 5}}, {}).vertices);
  EXPECT_EQ(merged->faces, Mesh({}, {{0, 2, 1}, {0, 1, 3}}).faces);
}

TEST(MergeVertices, RoundsHalfToEven) {
  // 0.5e-8 rounds to 0 and 2.5e-8 to 2, away from 1e-8 and 3e-8.
  const auto merged = MergeVertices(
      Mesh({{0, 0, 0}, {0.5e-8, 0, 0}, {1e-8, 0, 0}, {2.5e-8, 0, 0}, {2e-8, 0, 0}, {3e-8, 0, 0}},
           {{0, 1, 2}, {3, 4, 5}}));
  ASSERT_TRUE(merged.ok());
  EXPECT_EQ(merged->vertices.rows(), 4);
  EXPECT_EQ(merged->faces, Mesh({}, {{0, 0, 1}, {2, 2, 3}}).faces);
}

TEST(MergeVertices, TextureCoordinatesKeepVerticesApart) {
  const TriangleMesh mesh = Mesh({{0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {1, 0, 0}}, {{0, 1, 2}, {2, 3, 0}});
  UvD uv(4, 2);
  uv << 0, 0, 1, 1, 0.00001, 0, 0, 0;
  const auto merged = MergeVertices(mesh, &uv);
  ASSERT_TRUE(merged.ok());
  EXPECT_EQ(merged->faces, Mesh({}, {{0, 1, 0}, {0, 2, 0}}).faces);
  uv.conservativeResize(3, 2);
  EXPECT_THAT(MergeVertices(mesh, &uv).status().message(), HasSubstr("3 texture coordinates for 4"));
}

TEST(MergeVertices, FacesOfNonFiniteVerticesGo) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto merged =
      MergeVertices(Mesh({{0, nan, 0}, {0, 0, 0}, {1, 0, 0}, {0, 1, 0}}, {{0, 1, 2}, {1, 2, 3}, {3, 2, 1}}));
  ASSERT_TRUE(merged.ok());
  EXPECT_EQ(merged->faces, Mesh({}, {{0, 1, 2}, {2, 1, 0}}).faces);
}

TEST(MergeVertices, RefusesIndicesThatAreNoVertices) {
  for (const int bad : {-1, 3}) {
    const auto merged = MergeVertices(Mesh({{0, 0, 0}, {1, 0, 0}, {0, 1, 0}}, {{0, 1, bad}}));
    EXPECT_EQ(merged.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(merged.status().message(), HasSubstr("face 0 refers to vertex"));
  }
}

TEST(Golden, NormalizedVerticesNormalsAndAreas) {
  for (const GoldenShape& shape : kGoldenShapes) {
    SCOPED_TRACE(shape.name);
    const Golden golden(absl::StrCat("b_shapes/stages/", shape.name));
    TriangleMesh mesh = golden.Mesh("load_vertices_f64", "load_faces");
    ASSERT_TRUE(NormalizeMesh(&mesh).ok());
    EXPECT_EQ(Flat(mesh.vertices), golden.Doubles("norm_vertices_f64"));
    EXPECT_EQ(FaceAreaCumsum(mesh), golden.Doubles("face_area_cumsum_f64"));
    const std::vector<double> expected = golden.Doubles("face_normals_f64");
    const std::vector<double> normals = Flat(FaceNormals(mesh));
    ASSERT_EQ(normals.size(), expected.size());
    for (size_t i = 0; i < normals.size(); ++i) ASSERT_NEAR(normals[i], expected[i], 3e-16) << i;
    EXPECT_EQ(std::vector<float>(normals.begin(), normals.end()),
              std::vector<float>(expected.begin(), expected.end()));
  }
}

TEST(Golden, MergedMeshesStayAsTheyAre) {
  for (const GoldenShape& shape : kGoldenShapes) {
    if (std::string(shape.name) == "two") continue;  // two chunks, merged one by one
    const TriangleMesh mesh =
        Golden(absl::StrCat("b_shapes/stages/", shape.name)).Mesh("load_vertices_f64", "load_faces");
    const auto merged = MergeVertices(mesh);
    ASSERT_TRUE(merged.ok());
    EXPECT_EQ(merged->vertices, mesh.vertices) << shape.name;
    EXPECT_EQ(merged->faces, mesh.faces) << shape.name;
  }
}

TEST(Measures, Box) {
  const TriangleMesh box = BoxMesh(1, 2, 3);
  EXPECT_TRUE(IsWatertight(box));
  EXPECT_DOUBLE_EQ(Volume(box), 48);
  EXPECT_DOUBLE_EQ(TotalArea(box), 2 * (2 * 4 + 4 * 6 + 2 * 6));
  const PointsD normals = FaceNormals(box);
  for (Eigen::Index f = 0; f < normals.rows(); ++f) {
    const Eigen::RowVector3d outward = box.vertices.row(box.faces(f, 0)) + box.vertices.row(box.faces(f, 1)) +
                                       box.vertices.row(box.faces(f, 2));
    EXPECT_EQ(normals.row(f).cwiseAbs().sum(), 1);
    EXPECT_GT(normals.row(f).dot(outward), 0);
  }
}

TEST(Measures, TorusAndSphereConvergeToTheirFormulas) {
  const TriangleMesh torus = TorusMesh(0.7, 0.2, 400, 200);
  const double pi = std::numbers::pi;
  EXPECT_NEAR(TotalArea(torus), 4 * pi * pi * 0.7 * 0.2, 1e-3);
  EXPECT_NEAR(Volume(torus), 2 * pi * pi * 0.7 * 0.04, 2e-4);
  EXPECT_TRUE(IsWatertight(torus));
  const TriangleMesh sphere = SphereMesh(0.5, 200, 400);
  EXPECT_NEAR(TotalArea(sphere), pi, 1e-3);
  EXPECT_NEAR(Volume(sphere), pi / 6, 1e-4);
  EXPECT_TRUE(IsWatertight(sphere));
}

TEST(Measures, OpenAndDoubledMeshesAreNotWatertight) {
  TriangleMesh box = BoxMesh(1, 1, 1);
  const TriangleMesh twice = ConcatenateMeshes({box, box});
  EXPECT_TRUE(IsWatertight(twice));
  const auto merged = MergeVertices(twice);
  ASSERT_TRUE(merged.ok());
  EXPECT_FALSE(IsWatertight(*merged));
  box.faces.conservativeResize(11, 3);
  EXPECT_FALSE(IsWatertight(box));
  EXPECT_FALSE(IsWatertight(TriangleMesh{}));
}

// Every edge's faces, counted one by one.
bool WatertightByCounting(const TriangleMesh& mesh) {
  std::map<std::pair<int, int>, int> count;
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    for (int k = 0; k < 3; ++k) {
      const int a = mesh.faces(f, k), b = mesh.faces(f, (k + 1) % 3);
      ++count[{std::min(a, b), std::max(a, b)}];
    }
  }
  return !count.empty() &&
         std::all_of(count.begin(), count.end(), [](const auto& edge) { return edge.second == 2; });
}

// Colours spread over faces until nothing changes.
int64_t ComponentsBySpreading(const TriangleMesh& mesh) {
  std::vector<int> colour(mesh.vertices.rows());
  std::iota(colour.begin(), colour.end(), 0);
  for (bool changed = true; changed;) {
    changed = false;
    for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
      int least = std::numeric_limits<int>::max();
      for (int k = 0; k < 3; ++k) least = std::min(least, colour[mesh.faces(f, k)]);
      for (int k = 0; k < 3; ++k) changed |= std::exchange(colour[mesh.faces(f, k)], least) != least;
    }
  }
  std::set<int> colours;
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) colours.insert(colour[mesh.faces(f, 0)]);
  return static_cast<int64_t>(colours.size());
}

TEST(Measures, RandomSoupsAgreeWithCounting) {
  std::mt19937 random(3);
  int watertight = 0, seen_components = 0;
  for (int round = 0; round < 3000; ++round) {
    const int n = 3 + static_cast<int>(random() % 4);
    TriangleMesh mesh{PointsD::Random(n + 2, 3), Faces(1 + static_cast<int>(random() % 5), 3)};
    for (int32_t& v : mesh.faces.reshaped()) v = static_cast<int32_t>(random() % n);
    // Closed ones are rare by chance: half are made of faces with their reverse.
    if (round % 2 == 0) {
      TriangleMesh other = mesh;
      other.faces.col(0).swap(other.faces.col(1));
      mesh.faces.conservativeResize(mesh.faces.rows() * 2, 3);
      mesh.faces.bottomRows(other.faces.rows()) = other.faces;
    }
    EXPECT_EQ(IsWatertight(mesh), WatertightByCounting(mesh)) << mesh.faces;
    EXPECT_EQ(CountComponents(mesh), ComponentsBySpreading(mesh)) << mesh.faces;
    watertight += IsWatertight(mesh);
    seen_components |= 1 << CountComponents(mesh);
  }
  EXPECT_GT(watertight, 100);
  EXPECT_EQ(seen_components & 0b110, 0b110);
}

TEST(Measures, ComponentsAndVolumesOfSeveralBodies) {
  EXPECT_EQ(CountComponents(TriangleMesh{}), 0);
  EXPECT_EQ(Volume(TriangleMesh{}), 0);
  TriangleMesh far = BoxMesh(1, 2, 3), inner = BoxMesh(0.5, 0.5, 0.5);
  EXPECT_EQ(CountComponents(far), 1);
  inner.faces.col(0).swap(inner.faces.col(1));
  EXPECT_DOUBLE_EQ(Volume(inner), -1);
  // A box with a cubic hole, a million away.
  TriangleMesh hollow = ConcatenateMeshes({far, inner});
  hollow.vertices.rowwise() += Eigen::RowVector3d(1e6, 1e6, -1e6);
  EXPECT_EQ(CountComponents(hollow), 2);
  EXPECT_NEAR(Volume(hollow), 47, 1e-8);
  TriangleMesh many = far;
  for (int i = 1; i < 50; ++i) {
    TriangleMesh moved = far;
    moved.vertices.rowwise() += Eigen::RowVector3d(10 * i, 0, 0);
    many = ConcatenateMeshes({many, moved});
  }
  many.vertices.conservativeResize(many.vertices.rows() + 3, 3);
  many.vertices.bottomRows(3).setZero();
  EXPECT_EQ(CountComponents(many), 50);
  EXPECT_NEAR(Volume(many), 50 * 48, 1e-8);
  // Two that touch in one vertex are one.
  TriangleMesh touching = ConcatenateMeshes({far, inner});
  for (int32_t& v : touching.faces.reshaped()) v = v == 8 ? 0 : v;
  EXPECT_EQ(CountComponents(touching), 1);
}

TEST(NormalizeMesh, FillsTheUnitSphere) {
  TriangleMesh mesh = BoxMesh(3, 4, 0);
  mesh.vertices.rowwise() += Eigen::RowVector3d(10, -20, 30);
  ASSERT_TRUE(NormalizeMesh(&mesh).ok());
  EXPECT_DOUBLE_EQ(mesh.vertices.rowwise().norm().maxCoeff(), 1);
  EXPECT_LT(Bounds(mesh.vertices).colwise().sum().norm(), 1e-15);
}

TEST(NormalizeMesh, APointStaysAPointAndGarbageIsRefused) {
  TriangleMesh point = Mesh({{5, 5, 5}, {5, 5, 5}, {5, 5, 5}}, {{0, 1, 2}});
  ASSERT_TRUE(NormalizeMesh(&point).ok());
  EXPECT_EQ(point.vertices.cwiseAbs().maxCoeff(), 0);
  EXPECT_THAT(FaceAreas(point), ElementsAre(0));
  EXPECT_EQ(FaceNormals(point), PointsD::Zero(1, 3));

  TriangleMesh empty;
  EXPECT_THAT(NormalizeMesh(&empty).message(), HasSubstr("no vertices"));
  TriangleMesh infinite = BoxMesh(1, 1, 1);
  infinite.vertices(2, 1) = std::numeric_limits<double>::infinity();
  EXPECT_THAT(NormalizeMesh(&infinite).message(), HasSubstr("vertex 2 is not finite"));
  TriangleMesh huge = BoxMesh(1.7e308, 1.7e308, 1.7e308);
  EXPECT_THAT(NormalizeMesh(&huge).message(), HasSubstr("too large"));
}

}  // namespace
}  // namespace manyform

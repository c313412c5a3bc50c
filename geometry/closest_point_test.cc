#include "geometry/closest_point.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "Eigen/Geometry"
#include "geometry/mesh.h"
#include "geometry/sampling.h"
#include "geometry/testing/golden.h"
#include "geometry/testing/shapes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Eigen::Vector3d;

Vector3d Corner(const TriangleMesh& mesh, int face, int k) { return mesh.vertices.row(mesh.faces(face, k)); }

SurfacePoint BruteForce(const TriangleMesh& mesh, const Vector3d& p) {
  SurfacePoint best{p, std::numeric_limits<double>::infinity(), -1};
  for (int f = 0; f < mesh.faces.rows(); ++f) {
    const Vector3d q = ClosestPointOnTriangle(p, Corner(mesh, f, 0), Corner(mesh, f, 1), Corner(mesh, f, 2));
    if (const double d = (q - p).norm(); d < best.distance) best = {q, d, f};
  }
  return best;
}

void ExpectAsBruteForce(const TriangleMesh& mesh, const PointsF& points) {
  const auto scene = TriangleScene::Create(mesh);
  ASSERT_TRUE(scene.ok()) << scene.status();
  const std::vector<float> distances = DistancesToMesh(*scene, points);
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    const Vector3d p = points.row(i).cast<double>();
    const SurfacePoint expected = BruteForce(mesh, p);
    const SurfacePoint found = ClosestPointOnMesh(*scene, p);
    ASSERT_EQ(found.distance, expected.distance) << i;
    ASSERT_EQ(found.face, expected.face) << i;
    ASSERT_EQ(found.point, expected.point) << i;
    ASSERT_EQ(distances[i], static_cast<float>(expected.distance));
  }
}

TEST(ClosestPointOnTriangle, BeatsEveryOtherPointOfTheTriangle) {
  NumpyRandomState random(1);
  for (int round = 0; round < 300; ++round) {
    const TriangleMesh mesh = RandomTriangles(1, round % 3 == 0 ? 0.01 : 1, random);
    const Vector3d a = Corner(mesh, 0, 0), b = Corner(mesh, 0, 1), c = Corner(mesh, 0, 2);
    const Vector3d p(random.Uniform(-1, 1), random.Uniform(-1, 1), random.Uniform(-1, 1));
    const Vector3d q = ClosestPointOnTriangle(p, a, b, c);
    for (int i = 0; i <= 20; ++i) {
      for (int j = 0; i + j <= 20; ++j) {
        const Vector3d other = (a * i + b * j + c * (20 - i - j)) / 20;
        ASSERT_LE((q - p).norm(), (other - p).norm() + 1e-12);
      }
    }
    // It is on the triangle: the three parts add up to the whole.
    const double whole = (b - a).cross(c - a).norm();
    const double parts =
        (a - q).cross(b - q).norm() + (b - q).cross(c - q).norm() + (c - q).cross(a - q).norm();
    ASSERT_NEAR(parts, whole, 1e-12);
  }
}

TEST(ClosestPointOnTriangle, DegenerateTrianglesAreSegmentsAndPoints) {
  const Vector3d a(0, 0, 0), b(1, 0, 0), c(0.25, 0, 0), p(0.7, 1, 0);
  EXPECT_EQ(ClosestPointOnTriangle(p, a, b, c), Vector3d(0.7, 0, 0));
  EXPECT_EQ(ClosestPointOnTriangle(p, b, a, a), Vector3d(0.7, 0, 0));
  EXPECT_EQ(ClosestPointOnTriangle(p, a, a, b), Vector3d(0.7, 0, 0));
  EXPECT_EQ(ClosestPointOnTriangle(p, a, b, a), Vector3d(0.7, 0, 0));
  EXPECT_EQ(ClosestPointOnTriangle(p, b, b, b), b);
}

TEST(ClosestPointOnTriangle, SliversAreMeasuredAsWell) {
  // Corners almost on a line: the answer may not be farther than from any of a dense set of their points.
  NumpyRandomState random(9);
  for (int round = 0; round < 400; ++round) {
    const double thickness = std::pow(10.0, -random.Uniform(1, 16));
    const Vector3d a(random.Uniform(-1, 1), random.Uniform(-1, 1), random.Uniform(-1, 1));
    const Vector3d along(random.Uniform(-1, 1), random.Uniform(-1, 1), random.Uniform(-1, 1));
    const Vector3d aside(random.Uniform(-1, 1), random.Uniform(-1, 1), random.Uniform(-1, 1));
    const Vector3d b = a + along, c = a + random.Double() * along + thickness * aside;
    const Vector3d p = a + random.Uniform(-0.2, 1.2) * along + random.Uniform(-1, 1) * thickness * aside;
    const double found = (ClosestPointOnTriangle(p, a, b, c) - p).norm();
    for (int i = 0; i <= 60; ++i) {
      for (int j = 0; i + j <= 60; ++j) {
        ASSERT_LE(found, ((a * i + b * j + c * (60 - i - j)) / 60 - p).norm() + 1e-12) << thickness;
      }
    }
  }
}

TEST(ClosestPoint, EqualsBruteForce) {
  NumpyRandomState random(2);
  for (const int n : {1, 2, 5, 60, 800}) {
    SCOPED_TRACE(n);
    ExpectAsBruteForce(RandomTriangles(n, n > 50 ? 0.2 : 1, random), RandomPoints(150, 1.2, random));
  }
  // Shared edges and corners tie between faces: the smallest index answers.
  ExpectAsBruteForce(BoxMesh(0.5, 0.5, 0.5), RandomPoints(200, 1, random));
  ExpectAsBruteForce(TorusMesh(0.7, 0.25, 30, 16), RandomPoints(200, 1, random));
  const TriangleMesh sheet = RandomTriangles(50, 0.3, random);
  ExpectAsBruteForce(sheet, RandomPoints(50, 1000, random));
}

TEST(ClosestPoint, ScenesFarFromTheOriginAndOfAnySize) {
  NumpyRandomState random(3);
  for (const double size : {1e-6, 1.0, 1e6}) {
    TriangleMesh mesh = RandomTriangles(100, 0.3, random);
    mesh.vertices = (mesh.vertices * size).eval();
    mesh.vertices.rowwise() += Eigen::RowVector3d(300, -200, 100) * size;
    const PointsF points =
        ((RandomPoints(60, 1.5, random).cast<double>().rowwise() + Eigen::RowVector3d(300, -200, 100)) * size)
            .cast<float>();
    ExpectAsBruteForce(mesh, points);
  }
}

TEST(ClosestPoint, DegenerateFacesCount) {
  NumpyRandomState random(4);
  TriangleMesh mesh = RandomTriangles(40, 1, random);
  for (int f = 0; f < 40; f += 2) mesh.faces(f, 2) = mesh.faces(f, f % 4 == 0 ? 1 : 0);
  mesh.faces.row(1).setConstant(3);
  ExpectAsBruteForce(mesh, RandomPoints(200, 1, random));
}

TEST(ClosestPoint, SphereDistances) {
  NumpyRandomState random(5);
  const auto scene = TriangleScene::Create(SphereMesh(0.8, 200, 400));
  ASSERT_TRUE(scene.ok());
  const PointsF points = RandomPoints(500, 1, random);
  const std::vector<float> distances = DistancesToMesh(*scene, points);
  for (int i = 0; i < 500; ++i) ASSERT_NEAR(distances[i], std::abs(points.row(i).norm() - 0.8), 2e-4);
}

TEST(ClosestPoint, SurfaceSamplesAreOnTheSurface) {
  NumpyRandomState random(6);
  const TriangleMesh mesh = TorusMesh(0.7, 0.25, 60, 30);
  const auto scene = TriangleScene::Create(mesh);
  const auto samples = SampleSurface(mesh, 500, random);
  ASSERT_TRUE(scene.ok() && samples.ok());
  for (int i = 0; i < 500; ++i) ASSERT_LT(ClosestPointOnMesh(*scene, samples->points.row(i)).distance, 1e-15);
}

TEST(ClosestPoint, NoAnswerForWhatIsNotFinite) {
  const auto scene = TriangleScene::Create(BoxMesh(1, 1, 1));
  ASSERT_TRUE(scene.ok());
  PointsF points(3, 3);
  points << 0, 0, 0, std::nanf(""), 0, 0, 0, std::numeric_limits<float>::infinity(), 0;
  const std::vector<float> distances = DistancesToMesh(*scene, points);
  EXPECT_EQ(distances[0], 1);
  EXPECT_TRUE(std::isnan(distances[1]) && std::isnan(distances[2]));
  EXPECT_EQ(ClosestPointOnMesh(*scene, points.row(1).cast<double>()).face, -1);
}

TEST(TriangleScene, RefusesWhatIsNoMesh) {
  EXPECT_FALSE(TriangleScene::Create(TriangleMesh{}).ok());
  EXPECT_THAT(TriangleScene::Create(BoxMesh(1e20, 1, 1)).status().message(),
              ::testing::HasSubstr("too large"));
}

TEST(Golden, DistancesToTheMesh) {
  for (const GoldenShape& shape : kGoldenShapes) {
    SCOPED_TRACE(shape.name);
    const Golden golden(absl::StrCat("b_shapes/stages/", shape.name));
    const auto scene = TriangleScene::Create(golden.Mesh("norm_vertices_f64", "load_faces"));
    ASSERT_TRUE(scene.ok());
    const std::vector<float> distances = DistancesToMesh(*scene, golden.PointsOf("cache/pt_xyz_pool"));
    const std::vector<float> expected = golden.Floats("pt_dist_mesh");
    ASSERT_EQ(distances.size(), expected.size());
    for (size_t i = 0; i < distances.size(); ++i) ASSERT_NEAR(distances[i], expected[i], 1e-6) << i;
  }
}

}  // namespace
}  // namespace manyform

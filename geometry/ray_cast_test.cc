#include "geometry/ray_cast.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "Eigen/Geometry"
#include "base/thread_pool.h"
#include "geometry/mesh.h"
#include "geometry/testing/golden.h"
#include "geometry/testing/shapes.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Eigen::Vector3d;

// First hit by solving o + t d = a + u (b-a) + v (c-a); rays that pass an edge within `fuzz` make it
// uncertain.
struct Expected {
  int face = -1;
  double t = std::numeric_limits<double>::infinity();
  bool certain = true;
};

Expected BruteForce(const TriangleMesh& mesh, const Vector3d& o, const Vector3d& d) {
  Expected best;
  for (int f = 0; f < mesh.faces.rows(); ++f) {
    const Vector3d a = mesh.vertices.row(mesh.faces(f, 0)), b = mesh.vertices.row(mesh.faces(f, 1)),
                   c = mesh.vertices.row(mesh.faces(f, 2));
    Eigen::Matrix3d m;
    m << -d, b - a, c - a;
    if (std::abs(m.determinant()) < 1e-14) continue;
    const Vector3d tuv = m.inverse() * (o - a);
    const double inside = std::min({tuv[1], tuv[2], 1 - tuv[1] - tuv[2], tuv[0]});
    if (std::abs(inside) < 1e-9) best.certain = false;
    if (inside >= 0 && tuv[0] < best.t) best = {f, tuv[0], best.certain};
  }
  return best;
}

void ExpectAsBruteForce(const TriangleMesh& mesh, const PointsF& origins, const PointsF& directions,
                        int* hits) {
  const auto scene = TriangleScene::Create(mesh);
  ASSERT_TRUE(scene.ok()) << scene.status();
  const RayAnswers answers = CastRays(*scene, origins, directions);
  const PointsD normals = FaceNormals(mesh);
  for (Eigen::Index i = 0; i < origins.rows(); ++i) {
    const Vector3d o = origins.row(i).cast<double>(), d = directions.row(i).cast<double>();
    const Expected expected = BruteForce(mesh, o, d);
    if (!expected.certain) continue;
    const RayHit found = FirstHit(*scene, o, d);
    ASSERT_EQ(found.face, expected.face) << i;
    ASSERT_EQ(answers.hit[i], expected.face >= 0) << i;
    if (found.face < 0) continue;
    ++*hits;
    ASSERT_NEAR(found.t, expected.t, 1e-9 * (1 + expected.t));
    ASSERT_NEAR(answers.t[i], expected.t * d.squaredNorm(), 1e-6 * (1 + expected.t * d.squaredNorm()));
    ASSERT_LT((answers.normals.row(i) - normals.row(found.face).cast<float>()).norm(), 1e-6);
  }
}

TEST(FirstHit, EqualsBruteForce) {
  NumpyRandomState random(1);
  int hits = 0;
  for (const int n : {1, 3, 40, 600}) {
    SCOPED_TRACE(n);
    const TriangleMesh mesh = RandomTriangles(n, n > 30 ? 0.3 : 1, random);
    ExpectAsBruteForce(mesh, RandomPoints(300, 1, random), RandomDirections(300, random), &hits);
    const PointsF directions = RandomDirections(300, random);
    ExpectAsBruteForce(mesh, RandomPoints(300, 0.8, random) - 3 * directions, directions, &hits);
  }
  ExpectAsBruteForce(TorusMesh(0.7, 0.25, 40, 20), RandomPoints(500, 1, random),
                     RandomDirections(500, random), &hits);
  EXPECT_GT(hits, 800);
}

TEST(FirstHit, FarOriginsAndUnnormalisedDirections) {
  NumpyRandomState random(2);
  int hits = 0;
  const PointsF directions = RandomDirections(500, random);
  const PointsF origins = RandomPoints(500, 0.7, random) - 60 * directions;
  ExpectAsBruteForce(SphereMesh(0.8, 30, 60), origins, directions * 0.01f, &hits);
  ExpectAsBruteForce(SphereMesh(0.8, 30, 60), origins, directions * 30, &hits);
  EXPECT_GT(hits, 500);
}

TEST(FirstHit, NoRaySlipsThroughAClosedSurface) {
  // From inside, towards corners, edge middles and everywhere else: single precision alone would leak.
  NumpyRandomState random(3);
  const TriangleMesh sphere = SphereMesh(1, 24, 48);
  const auto scene = TriangleScene::Create(sphere);
  ASSERT_TRUE(scene.ok());
  for (Eigen::Index f = 0; f < sphere.faces.rows(); ++f) {
    const Vector3d o(random.Uniform(-0.5, 0.5), random.Uniform(-0.5, 0.5), random.Uniform(-0.5, 0.5));
    for (int k = 0; k < 3; ++k) {
      const Vector3d a = sphere.vertices.row(sphere.faces(f, k));
      const Vector3d b = sphere.vertices.row(sphere.faces(f, (k + 1) % 3));
      for (const double w : {0.0, 0.5, random.Double()}) {
        const Vector3d target = a + w * (b - a);
        const RayHit hit = FirstHit(*scene, o, target - o);
        ASSERT_GE(hit.face, 0) << f << " " << k << " " << w;
        ASSERT_NEAR(hit.t, 1, 1e-9);
      }
    }
  }
}

TEST(FirstHit, BoxFromOutsideAndInside) {
  const auto scene = TriangleScene::Create(BoxMesh(1, 2, 3));
  ASSERT_TRUE(scene.ok());
  EXPECT_DOUBLE_EQ(FirstHit(*scene, {-5, 0.5, 0.25}, {2, 0, 0}).t, 2);
  EXPECT_DOUBLE_EQ(FirstHit(*scene, {0.1, 0.2, 0.3}, {0, 0, -1}).t, 3.3);
  EXPECT_EQ(FirstHit(*scene, {-5, 0.5, 0.25}, {-1, 0, 0}).face, -1);
  EXPECT_EQ(FirstHit(*scene, {-5, 2.001, 0}, {1, 0, 0}).face, -1);
  EXPECT_DOUBLE_EQ(FirstHit(*scene, {-1, 0.5, 0.25}, {1, 0, 0}).t, 0) << "an origin on the surface hits it";
}

TEST(CastRays, EqualFacesGiveTheSmallestIndexAndItsNormal) {
  TriangleMesh mesh = BoxMesh(1, 1, 1);
  const TriangleMesh twice = ConcatenateMeshes({mesh, mesh});
  const auto scene = TriangleScene::Create(twice);
  ASSERT_TRUE(scene.ok());
  EXPECT_LT(FirstHit(*scene, {-3, 0.3, 0.2}, {1, 0, 0}).face, 12);
}

TEST(CastRays, UnusableRaysMiss) {
  const auto scene = TriangleScene::Create(BoxMesh(1, 1, 1));
  ASSERT_TRUE(scene.ok());
  PointsF o = PointsF::Zero(4, 3), d = PointsF::Zero(4, 3);
  d.row(1) << std::nanf(""), 0, 1;
  d.row(2) << 0, 0, 1;
  o.row(2) << std::numeric_limits<float>::infinity(), 0, 0;
  d.row(3) << 0, 0, 1;
  const RayAnswers answers = CastRays(*scene, o, d);
  EXPECT_EQ(answers.hit, (std::vector<float>{0, 0, 0, 1}));
  EXPECT_EQ(answers.t, (std::vector<float>{0, 0, 0, 1}));
}

TEST(CastRays, ManyThreadsGetTheSameAnswers) {
  NumpyRandomState random(4);
  const auto scene = TriangleScene::Create(TorusMesh(0.7, 0.25, 40, 20));
  ASSERT_TRUE(scene.ok());
  const PointsF origins = RandomPoints(400, 1, random), directions = RandomDirections(400, random);
  const RayAnswers expected = CastRays(*scene, origins, directions);
  ASSERT_TRUE(ParallelFor(16, 4, [&](int64_t) {
                const auto own = TriangleScene::Create(TorusMesh(0.7, 0.25, 40, 20));
                if (!own.ok()) return own.status();
                for (const TriangleScene* s : {&*scene, &*own}) {
                  if (CastRays(*s, origins, directions).t != expected.t)
                    return absl::InternalError("differs");
                }
                return absl::OkStatus();
              }).ok());
}

TEST(Golden, MeshRayAnswers) {
  for (const GoldenShape& shape : kGoldenShapes) {
    SCOPED_TRACE(shape.name);
    const Golden golden(absl::StrCat("b_shapes/stages/", shape.name));
    const auto scene = TriangleScene::Create(golden.Mesh("norm_vertices_f64", "load_faces"));
    ASSERT_TRUE(scene.ok());
    const RayAnswers answers =
        CastRays(*scene, golden.PointsOf("cache/ray_o_pool"), golden.PointsOf("cache/ray_d_pool"));
    EXPECT_EQ(answers.hit, golden.Floats("cache/ray_hit_pool"));
    EXPECT_EQ(Flat(answers.normals), golden.Floats("cache/ray_n_pool"));
    const std::vector<float> expected = golden.Floats("cache/ray_t_pool");
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(answers.t[i], expected[i], 3e-7) << i;
  }
}

}  // namespace
}  // namespace manyform

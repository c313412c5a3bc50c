#include "geometry/surface_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/numpy_random.h"
#include "geometry/mesh.h"
#include "geometry/testing/golden.h"
#include "geometry/testing/shapes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

using ::testing::HasSubstr;

SurfacePoints Sampled(const TriangleMesh& mesh, int64_t n, uint32_t seed) {
  NumpyRandomState random(seed);
  return SurfacePointsOf(mesh, *SampleSurface(mesh, n, random));
}

TriangleMesh GoldenMesh(const Golden& golden, const std::string& name) {
  const std::vector<int32_t> faces = golden.Ints(name + "/voxel_centre_faces");
  return {golden.PointsOf(name + "/voxel_centre_verts").cast<double>(),
          Eigen::Map<const Faces>(faces.data(), faces.size() / 3, 3)};
}

nlohmann::json GoldenNumbers() {
  return nlohmann::json::parse(*ReadFile("testdata/golden/f_eval/mesh_eval.json"));
}

// Chamfer distances and every "fscore@tau" of the published numbers.
void ExpectMetrics(const SurfacePoints& a, const SurfacePoints& b, const nlohmann::json& expected) {
  std::vector<double> taus, scores;
  for (const auto& [key, value] : expected.items()) {
    if (!key.starts_with("fscore@")) continue;
    taus.push_back(std::stod(key.substr(7)));
    scores.push_back(value);
  }
  ASSERT_FALSE(taus.empty());
  const auto metrics = CompareSurfaces(a, b, taus);
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  EXPECT_NEAR(metrics->chamfer_l1, expected["chamfer_l1"], 1e-7);
  EXPECT_NEAR(metrics->chamfer_l2, expected["chamfer_l2"], 1e-7);
  for (size_t i = 0; i < taus.size(); ++i)
    EXPECT_NEAR(metrics->f_scores[i].score, scores[i], 1e-7) << taus[i];
}

TEST(Golden, MetricsOfGivenPoints) {
  const Golden golden("f_eval/mesh_eval");
  const nlohmann::json expected = GoldenNumbers()["metrics"];
  const auto points = [&](const char* name) { return SurfacePoints{golden.PointsOf(name), {}}; };
  const SurfacePoints sphere = points("sample/sphere_seed0"), torus = points("sample/torus_seed7");
  ExpectMetrics(sphere, points("sample/sphere_seed1"), expected["sphere_sphere"]);
  ExpectMetrics(sphere, torus, expected["sphere_torus"]);
  ExpectMetrics(torus, torus, expected["torus_torus"]);
}

TEST(Golden, SamplesOfIsosurfacesBitForBit) {
  const Golden golden("f_eval/mesh_eval");
  struct Case {
    const char *mesh, *points;
    uint32_t seed;
  };
  for (const Case& c :
       {Case{"sphere_udf", "sample/sphere_seed0", 0}, Case{"sphere_udf", "sample/sphere_seed1", 1},
        Case{"torus_sdf", "sample/torus_seed7", 7}}) {
    const PointsF expected = golden.PointsOf(c.points);
    EXPECT_EQ(Flat(Sampled(GoldenMesh(golden, c.mesh), expected.rows(), c.seed).points), Flat(expected));
  }
}

TEST(Golden, MetricsOfMeshes) {
  // The truth is sampled with the next seed.
  const Golden golden("f_eval/mesh_eval");
  ExpectMetrics(Sampled(GoldenMesh(golden, "sphere_udf"), 300, 4),
                Sampled(GoldenMesh(golden, "torus_sdf"), 300, 5),
                GoldenNumbers()["mesh_metrics_sphere_torus_n300_seed4"]);
}

// All pairs, nothing shared with the code under test.
struct Brute {
  double l1 = 0, l2 = 0, cosine = 0, within = 0;
};
Brute BruteForce(const SurfacePoints& a, const SurfacePoints& b, double tau) {
  Brute sum;
  for (Eigen::Index i = 0; i < a.points.rows(); ++i) {
    double best = std::numeric_limits<double>::infinity(), cosine = 0;
    for (Eigen::Index j = 0; j < b.points.rows(); ++j) {
      double squared = 0, dot = 0;
      for (int k = 0; k < 3; ++k) {
        const double d = double{a.points(i, k)} - b.points(j, k);
        squared += d * d;
        dot += double{a.normals(i, k)} * b.normals(j, k);
      }
      if (squared < best) best = squared, cosine = std::abs(dot);
    }
    sum.l1 += std::sqrt(best), sum.l2 += best, sum.cosine += cosine, sum.within += std::sqrt(best) <= tau;
  }
  const auto n = static_cast<double>(a.points.rows());
  return {sum.l1 / n, sum.l2 / n, sum.cosine / n, sum.within / n};
}

TEST(CompareSurfaces, IsWhatAllPairsSay) {
  const SurfacePoints torus = Sampled(TorusMesh(0.6, 0.2, 30, 20), 700, 1),
                      box = Sampled(BoxMesh(0.5, 0.4, 0.3), 500, 2);
  for (const double tau : {0.0, 0.05, 0.2, 2.0}) {
    const auto metrics = CompareSurfaces(torus, box, std::vector<double>{tau});
    ASSERT_TRUE(metrics.ok());
    const Brute forth = BruteForce(torus, box, tau), back = BruteForce(box, torus, tau);
    EXPECT_NEAR(metrics->chamfer_l1, forth.l1 + back.l1, 1e-12);
    EXPECT_NEAR(metrics->chamfer_l2, forth.l2 + back.l2, 1e-12);
    EXPECT_NEAR(metrics->normal_consistency, (forth.cosine + back.cosine) / 2, 1e-12);
    EXPECT_DOUBLE_EQ(metrics->f_scores[0].precision, forth.within);
    EXPECT_DOUBLE_EQ(metrics->f_scores[0].recall, back.within);
    const double sum = forth.within + back.within;
    EXPECT_DOUBLE_EQ(metrics->f_scores[0].score, sum > 0 ? 2 * forth.within * back.within / sum : 0);
  }
}

TEST(CompareSurfaces, ASurfaceIsItself) {
  const SurfacePoints torus = Sampled(TorusMesh(0.6, 0.2, 30, 20), 1000, 3);
  const auto metrics = CompareSurfaces(torus, torus, std::vector<double>{0, 0.01});
  ASSERT_TRUE(metrics.ok());
  EXPECT_EQ(metrics->chamfer_l1, 0);
  EXPECT_EQ(metrics->chamfer_l2, 0);
  EXPECT_NEAR(metrics->normal_consistency, 1, 1e-6);
  for (const FScore& f : metrics->f_scores) {
    EXPECT_EQ(f.precision, 1);
    EXPECT_EQ(f.recall, 1);
    EXPECT_EQ(f.score, 1);
  }
}

TEST(CompareSurfaces, ExchangingThemExchangesPrecisionAndRecall) {
  const SurfacePoints a = Sampled(SphereMesh(0.5, 20, 40), 600, 4),
                      b = Sampled(BoxMesh(0.5, 0.4, 0.3), 900, 5);
  const std::vector<double> taus = {0.02, 0.1};
  const auto forth = CompareSurfaces(a, b, taus), back = CompareSurfaces(b, a, taus);
  ASSERT_TRUE(forth.ok() && back.ok());
  EXPECT_DOUBLE_EQ(forth->chamfer_l1, back->chamfer_l1);
  EXPECT_DOUBLE_EQ(forth->chamfer_l2, back->chamfer_l2);
  EXPECT_DOUBLE_EQ(forth->normal_consistency, back->normal_consistency);
  for (size_t i = 0; i < taus.size(); ++i) {
    EXPECT_EQ(forth->f_scores[i].precision, back->f_scores[i].recall);
    EXPECT_EQ(forth->f_scores[i].recall, back->f_scores[i].precision);
    EXPECT_DOUBLE_EQ(forth->f_scores[i].score, back->f_scores[i].score);
  }
}

TEST(CompareSurfaces, AnInflatedSphereIsAsFarAsItIsInflated) {
  // Both directions are 0.1 for surfaces; samples are a little further.
  const int64_t n = 40000;
  const auto metrics =
      CompareSurfaces(Sampled(SphereMesh(0.6, 60, 120), n, 6), Sampled(SphereMesh(0.5, 60, 120), n, 7),
                      std::vector<double>{0.09, 0.11});
  ASSERT_TRUE(metrics.ok());
  EXPECT_NEAR(metrics->chamfer_l1, 0.2, 2e-3);
  EXPECT_NEAR(metrics->chamfer_l2, 0.02, 5e-4);
  EXPECT_EQ(metrics->f_scores[0].score, 0);
  EXPECT_GT(metrics->f_scores[1].score, 0.99);
  EXPECT_GT(metrics->normal_consistency, 0.995);
}

TEST(CompareSurfaces, AShiftedSphereIsAsFarAsTheMeanOfTheShiftAlongNormals) {
  const double shift = 0.02;
  TriangleMesh moved = SphereMesh(0.5, 60, 120);
  moved.vertices.col(0).array() += shift;
  const int64_t n = 60000;
  const auto metrics = CompareSurfaces(Sampled(SphereMesh(0.5, 60, 120), n, 8), Sampled(moved, n, 9),
                                       std::vector<double>{0.03});
  ASSERT_TRUE(metrics.ok());
  // |shift cos| has the mean shift / 2 over a sphere, its square shift^2 / 3. Among n samples of the area pi,
  // the nearest is off by 1 / n squared besides.
  EXPECT_NEAR(metrics->chamfer_l1, shift, 3e-3);
  EXPECT_NEAR(metrics->chamfer_l2, 2 * shift * shift / 3 + 2.0 / n, 5e-6);
  EXPECT_EQ(metrics->f_scores[0].score, 1);
}

TEST(CompareSurfaces, NormalsOfPerpendicularPlanesAndOfTurnedFaces) {
  SurfacePoints a{PointsF::Random(50, 3), PointsF::Zero(50, 3)}, b = a;
  a.normals.col(0).setConstant(1);
  b.normals.col(1).setConstant(1);
  EXPECT_EQ(CompareSurfaces(a, b, {})->normal_consistency, 0);
  b.normals = -a.normals;
  EXPECT_EQ(CompareSurfaces(a, b, {})->normal_consistency, 1);
  b.normals.resize(0, 3);
  EXPECT_TRUE(std::isnan(CompareSurfaces(a, b, {})->normal_consistency));
}

TEST(CompareSurfaces, SaysWhatItCannotCompare) {
  const SurfacePoints good{PointsF::Random(5, 3), {}};
  SurfacePoints bad = good;
  bad.points(3, 1) = std::numeric_limits<float>::quiet_NaN();
  const auto message = [](const SurfacePoints& a, const SurfacePoints& b, std::vector<double> taus) {
    const auto metrics = CompareSurfaces(a, b, taus);
    EXPECT_EQ(metrics.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(metrics.status().message());
  };
  EXPECT_THAT(message({}, good, {}), HasSubstr("the predicted surface has no points"));
  EXPECT_THAT(message(good, {}, {}), HasSubstr("the true surface has no points"));
  EXPECT_THAT(message(good, bad, {}), HasSubstr("point 3 of the true surface is not finite"));
  EXPECT_THAT(message({good.points, PointsF::Zero(4, 3)}, good, {}), HasSubstr("4 normals for 5 points"));
  EXPECT_THAT(message(good, good, {-1}), HasSubstr("not -1"));
  EXPECT_THAT(message(good, good, {std::nan("")}), HasSubstr("nan"));
}

TEST(SurfacePointsOf, NormalsAreThoseOfTheFaces) {
  const TriangleMesh mesh = BoxMesh(0.5, 0.4, 0.3);
  const SurfacePoints surface = Sampled(mesh, 400, 10);
  ASSERT_EQ(surface.normals.rows(), 400);
  const Eigen::RowVector3f half(0.5f, 0.4f, 0.3f);
  for (Eigen::Index i = 0; i < 400; ++i) {
    // On the side its normal points from.
    int axis;
    EXPECT_EQ(surface.normals.row(i).cwiseAbs().maxCoeff(&axis), 1);
    EXPECT_NEAR(surface.points(i, axis), surface.normals(i, axis) * half[axis], 1e-6);
  }
}

}  // namespace
}  // namespace manyform

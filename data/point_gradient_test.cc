#include "data/point_gradient.h"

#include <algorithm>
#include <cmath>

#include "base/numpy_random.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

// Rays down on the plane z = 0 whose normals point up, and one that misses.
struct Plane {
  Plane() : o(4, 3), d(4, 3), n(4, 3) {
    o << 0, 0, 1, 1, 0, 1, 0, 1, 2, 5, 5, 1;
    d << 0, 0, -1, 0, 0, -1, 0, 0, -1, 0, 0, -1;
    n << 0, 0, 1, 0, 0, 1, 0, 0, 1, 9, 9, 9;
  }
  Hits hits() const { return HitsOf(o, d, n, hit, t); }
  PointsF o, d, n;
  std::vector<float> hit = {1, 1, 1, 0}, t = {1, 1, 2, 7};
};

TEST(Hits, AreWhereTheRaysEnd) {
  const Hits hits = Plane().hits();
  EXPECT_EQ(hits.rays, (std::vector<int64_t>{0, 1, 2}));
  PointsF expected(3, 3);
  expected << 0, 0, 0, 1, 0, 0, 0, 1, 0;
  EXPECT_EQ(hits.xyz, expected);
}

TEST(Gradients, AreNormalsOfThePlane) {
  const Hits hits = Plane().hits();
  PointsF points(2, 3);
  points << 0.9f, 0, 0.25f, 0, 0, 0;
  const std::vector<float> distances = {0.25f, 0};
  const auto at = [&](GradientOptions options) { return GradientsAt(points, distances, hits, options); };
  const PointGradients raw = at({});
  EXPECT_EQ(raw.vectors, (PointsF(2, 3) << 0, 0, 1, 0, 0, 1).finished());
  EXPECT_EQ(raw.norms, (std::vector<float>{1, 1}));
  // 1 / 0.25; 1 / eps, clipped.
  const PointGradients scaled = at({.inverse_distance = true, .eps = 0.01, .clip = 10});
  EXPECT_FLOAT_EQ(scaled.vectors(0, 2), 4);
  EXPECT_FLOAT_EQ(scaled.vectors(1, 2), 10);
  EXPECT_FLOAT_EQ(at({.inverse_distance = true, .eps = 0.01, .clip = 0}).norms[1], 100);
  EXPECT_FLOAT_EQ(at({.clip = 0.5}).norms[0], 0.5f);
  // They already look against the rays; seen from below they are turned.
  EXPECT_EQ(at({.against_ray = true}).vectors, raw.vectors);
  Plane below;
  below.o.col(2) *= -1;
  below.d *= -1;
  const PointGradients turned = GradientsAt(points, distances, below.hits(), {.against_ray = true});
  EXPECT_EQ(turned.vectors, -raw.vectors);
}

TEST(Gradients, AreZeroWithoutHits) {
  Plane plane;
  plane.hit = {0, 0, 0, 0.5f};
  const PointGradients none = GradientsAt(plane.o, plane.t, plane.hits(), {.inverse_distance = true});
  EXPECT_EQ(none.vectors, PointsF::Zero(4, 3));
  EXPECT_EQ(NormalUncertainty(plane.hits(), 4, 8), std::vector<float>(4));
}

TEST(Uncertainty, IsOneMinusTheMeanAgreement) {
  Plane plane;
  EXPECT_EQ(NormalUncertainty(plane.hits(), 4, 8), std::vector<float>(4));
  // One normal across: of two neighbours each ray agrees with itself, and with the other or not.
  plane.n.row(1) << 1, 0, 0;
  const std::vector<float> u = NormalUncertainty(plane.hits(), 4, 2);
  EXPECT_EQ(u[1], 0.5f);
  EXPECT_EQ(u[3], 0);
  // The opposite normal agrees.
  plane.n.row(1) << 0, 0, -1;
  EXPECT_EQ(NormalUncertainty(plane.hits(), 4, 3), std::vector<float>(4));
  plane.hit = {1, 0, 0, 0};
  EXPECT_EQ(NormalUncertainty(plane.hits(), 4, 8), std::vector<float>(4));
}

TEST(Gradients, EqualTheDefinition) {
  NumpyRandomState random(3);
  const auto draw = [&](int rows) {
    PointsF m(rows, 3);
    for (Eigen::Index i = 0; i < m.size(); ++i) m.data()[i] = static_cast<float>(random.Uniform(-1, 1));
    return m;
  };
  const PointsF points = draw(60);
  Hits hits{draw(45), draw(45).rowwise().normalized(), draw(45), {}};
  for (int i = 0; i < 45; ++i) hits.rays.push_back(2 * i);
  const std::vector<float> distances(60, 0.5f);
  const PointGradients got = GradientsAt(points, distances, hits, {.inverse_distance = true});
  for (int i = 0; i < 60; ++i) {
    Eigen::Index nearest;
    (hits.xyz.rowwise() - points.row(i)).rowwise().squaredNorm().minCoeff(&nearest);
    EXPECT_TRUE(got.vectors.row(i).isApprox(2 * hits.normals.row(nearest), 1e-6f)) << i;
    EXPECT_NEAR(got.norms[i], 2, 1e-5);
  }
  const std::vector<float> u = NormalUncertainty(hits, 90, 5);
  for (int i = 0; i < 45; ++i) {
    std::vector<std::pair<float, int>> by_distance;
    for (int j = 0; j < 45; ++j) by_distance.emplace_back((hits.xyz.row(i) - hits.xyz.row(j)).norm(), j);
    std::sort(by_distance.begin(), by_distance.end());
    float sum = 0;
    for (int j = 0; j < 5; ++j) {
      sum += std::abs(hits.normals.row(i).dot(hits.normals.row(by_distance[j].second)));
    }
    EXPECT_NEAR(u[2 * i], 1 - sum / 5, 1e-6) << i;
    EXPECT_EQ(u[2 * i + 1], 0);
  }
}

}  // namespace
}  // namespace manyform

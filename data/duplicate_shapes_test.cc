#include "data/duplicate_shapes.h"

#include <cmath>
#include <functional>
#include <set>
#include <string>

#include "Eigen/Geometry"
#include "base/numpy_random.h"
#include "geometry/sampling.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Part = std::pair<Eigen::Vector3d, Eigen::Vector3d>;  // a box: low and high corner

TriangleMesh Boxes(const std::vector<Part>& parts) {
  TriangleMesh mesh;
  mesh.vertices.resize(static_cast<int64_t>(parts.size()) * 8, 3);
  mesh.faces.resize(static_cast<int64_t>(parts.size()) * 12, 3);
  constexpr int kFaces[12][3] = {{0, 1, 3}, {0, 3, 2}, {4, 6, 7}, {4, 7, 5}, {0, 4, 5}, {0, 5, 1},
                                 {2, 3, 7}, {2, 7, 6}, {0, 2, 6}, {0, 6, 4}, {1, 5, 7}, {1, 7, 3}};
  for (size_t p = 0; p < parts.size(); ++p) {
    for (int v = 0; v < 8; ++v) {
      for (int k = 0; k < 3; ++k)
        mesh.vertices(p * 8 + v, k) = (v >> k & 1 ? parts[p].second : parts[p].first)[k];
    }
    for (int f = 0; f < 12; ++f) {
      for (int k = 0; k < 3; ++k) mesh.faces(p * 12 + f, k) = static_cast<int>(p) * 8 + kFaces[f][k];
    }
  }
  return mesh;
}

// A table with legs of a given height; with `back` it is a chair.
TriangleMesh Furniture(double width, double depth, double height, double back) {
  std::vector<Part> parts = {{{-width, height, -depth}, {width, height + 0.06, depth}}};
  for (const double x : {-1.0, 1.0}) {
    for (const double z : {-1.0, 1.0}) {
      const Eigen::Vector3d foot(x * (width - 0.05), 0, z * (depth - 0.05));
      parts.push_back({foot - Eigen::Vector3d(0.04, 0, 0.04), foot + Eigen::Vector3d(0.04, height, 0.04)});
    }
  }
  if (back > 0) parts.push_back({{-width, height, depth - 0.05}, {width, height + back, depth}});
  return Boxes(parts);
}

// A surface of revolution about y, `rings` x `sides` quads.
TriangleMesh Revolved(const std::function<std::pair<double, double>(double)>& profile, int rings = 24,
                      int sides = 48) {
  TriangleMesh mesh;
  mesh.vertices.resize((rings + 1) * sides, 3);
  mesh.faces.resize(rings * sides * 2, 3);
  for (int r = 0; r <= rings; ++r) {
    const auto [radius, y] = profile(static_cast<double>(r) / rings);
    for (int s = 0; s < sides; ++s) {
      const double a = 2 * M_PI * s / sides;
      mesh.vertices.row(r * sides + s) << radius * std::cos(a), y, radius * std::sin(a);
    }
  }
  int f = 0;
  for (int r = 0; r < rings; ++r) {
    for (int s = 0; s < sides; ++s) {
      const int a = r * sides + s, b = r * sides + (s + 1) % sides, c = a + sides, d = b + sides;
      mesh.faces.row(f++) << a, b, d;
      mesh.faces.row(f++) << a, d, c;
    }
  }
  return mesh;
}

TriangleMesh Ellipsoid(double x, double y, double z) {
  TriangleMesh mesh = Revolved([](double u) { return std::pair(std::sin(M_PI * u), -std::cos(M_PI * u)); });
  mesh.vertices *= Eigen::Vector3d(x, y, z).asDiagonal();
  return mesh;
}

std::vector<TriangleMesh> DifferentShapes() {
  return {Furniture(0.5, 0.5, 0.6, 0.7),
          Furniture(0.5, 0.5, 0.6, 0),
          Furniture(0.5, 0.5, 0.6, 0.45),
          Furniture(0.9, 0.5, 0.6, 0),
          Furniture(0.9, 0.5, 0.75, 0),
          Boxes({{{-1, -1, -1}, {1, 1, 1}}}),
          Boxes({{{-1, -1, -1}, {1, 1, 0.7}}}),
          Ellipsoid(1, 1, 1),
          Ellipsoid(1, 1, 0.85),
          Ellipsoid(1, 0.7, 0.5),
          Revolved([](double u) { return std::pair(0.4, 2 * u - 1); }),
          Revolved([](double u) { return std::pair(0.1 + 0.5 * u, 2 * u - 1); }),
          Revolved([](double u) {
            return std::pair(0.7 + 0.25 * std::cos(2 * M_PI * u), 0.25 * std::sin(2 * M_PI * u));
          }),
          Revolved([](double u) { return std::pair(0.4 + 0.15 * std::sin(6 * M_PI * u), 2 * u - 1); })};
}

// Fresh samples of the mesh, turned, moved and scaled at random.
PointsF Observe(const TriangleMesh& mesh, int64_t n, uint32_t seed, bool move = true) {
  NumpyRandomState random(seed);
  PointsD points = SampleSurface(mesh, n, random)->points;
  if (move) {
    Eigen::Quaterniond q(random.Normal(), random.Normal(), random.Normal(), random.Normal());
    const Eigen::Vector3d shift(random.Normal(), random.Normal(), random.Normal());
    points = ((points * q.normalized().toRotationMatrix().transpose()) * std::exp(0.3 * random.Normal()))
                 .rowwise() +
             shift.transpose();
  }
  return points.cast<float>();
}

TEST(ShapeSignature, OfASphereIsAnalytic) {
  const ShapeSignature signature = SignatureOf(Observe(Ellipsoid(1, 1, 1), 5000, 1));
  EXPECT_EQ(signature.points, kSignaturePoints);
  // Radius 1 everywhere, eigenvalues equal, distances distributed as P(d <= x) = x^2/4, mean distance 4/3.
  EXPECT_NEAR(signature.shares[0], 1 / 3.0, 0.04);
  const float radius_bin = 3.2f / ShapeSignature::kBins, distance_bin = 4.8f / ShapeSignature::kBins;
  for (int i = 0; i < ShapeSignature::kBins; ++i) {
    const float r = radius_bin * static_cast<float>(i + 1), d = distance_bin * static_cast<float>(i + 1);
    // Bins that lie wholly below or above what a sphere's centroid, off by sampling, leaves possible.
    if (r < 0.9f || r > 1.1f) {
      EXPECT_EQ(signature.radii[i], r > 1 ? 1 : 0) << r;
    }
    EXPECT_NEAR(signature.distances[i], std::min(1.0f, d * d / 4), 0.02) << d;
    if (r < 1.15f || r > 1.55f) {
      EXPECT_EQ(signature.eccentricities[i], r > 1.3f ? 1 : 0) << r;
    }
  }
}

TEST(ShapeSignature, SurvivesMotionScaleAndResampling) {
  const std::vector<TriangleMesh> meshes = DifferentShapes();
  int tried = 0;
  for (const int64_t n : {256, 2048}) {
    for (size_t m = 0; m < meshes.size(); ++m) {
      const ShapeSignature first = SignatureOf(Observe(meshes[m], n, 1000));
      for (uint32_t seed = 0; seed < (n == 256 ? 12 : 2); ++seed, ++tried) {
        EXPECT_TRUE(MayBeSameShape(first, SignatureOf(Observe(meshes[m], n, seed))))
            << m << " " << n << " " << seed;
      }
    }
  }
  EXPECT_EQ(tried, 14 * 14);
}

TEST(ShapeSignature, OfNothingIsLikeNothing) {
  const ShapeSignature none = SignatureOf(PointsF(0, 3)), point = SignatureOf(PointsF::Constant(50, 3, 0.5f));
  EXPECT_EQ(none.points, 0);
  EXPECT_EQ(point.points, 0);
  EXPECT_FALSE(MayBeSameShape(none, none));
  PointsF broken = Observe(Ellipsoid(1, 2, 3), 400, 1);
  broken(7, 1) = NAN;
  EXPECT_EQ(SignatureOf(broken).points, 399);
}

TEST(LikePairs, AreThoseOfComparingAll) {
  std::vector<ShapeSignature> a, b;
  const std::vector<TriangleMesh> meshes = DifferentShapes();
  for (uint32_t i = 0; i < 60; ++i) {
    (i % 3 == 0 ? a : b)
        .push_back(SignatureOf(Observe(meshes[i * 7 % meshes.size()], i % 5 == 0 ? 100 : 300, i)));
  }
  a.emplace_back();
  b.emplace_back();
  std::vector<std::pair<int32_t, int32_t>> expected;
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < b.size(); ++j) {
      if (MayBeSameShape(a[i], b[j])) expected.emplace_back(static_cast<int32_t>(i), static_cast<int32_t>(j));
    }
  }
  EXPECT_EQ(LikePairs(a, b), expected);
  EXPECT_GT(expected.size(), 10u);
  EXPECT_LT(expected.size(), a.size() * b.size() / 2);
}

TEST(CompareSurfaces, FindsMovedAndResampledCopies) {
  const std::vector<TriangleMesh> meshes = DifferentShapes();
  for (size_t m = 0; m < meshes.size(); ++m) {
    const PointsF first = Observe(meshes[m], 1024, 500);
    const SurfaceMatch match = CompareSurfaces(first, Observe(meshes[m], 1300, 7));
    EXPECT_TRUE(match.same) << m << " " << match.spacing << " " << match.tail;
    EXPECT_NEAR(match.spacing, 1, 0.15) << m;
  }
}

TEST(CompareSurfaces, TellsDifferentShapesApart) {
  const std::vector<TriangleMesh> meshes = DifferentShapes();
  for (size_t i = 0; i < meshes.size(); ++i) {
    const PointsF first = Observe(meshes[i], 1024, 500);
    for (size_t j = 0; j < i; ++j) {
      const PointsF second = Observe(meshes[j], 1024, 7);
      const bool like = MayBeSameShape(SignatureOf(first), SignatureOf(second));
      EXPECT_FALSE(like && CompareSurfaces(first, second).same) << i << " " << j;
    }
  }
}

TEST(CompareSurfaces, ThePointsThemselvesLieOnEachOther) {
  const PointsF cloud = Observe(Furniture(0.6, 0.5, 0.6, 0.7), 1000, 3);
  const Eigen::Matrix3f turn =
      Eigen::AngleAxisf(1.0f, Eigen::Vector3f(1, 2, 3).normalized()).toRotationMatrix();
  PointsF turned = cloud * turn.transpose();
  turned.colwise().reverseInPlace();
  const SurfaceMatch match = CompareSurfaces(cloud, turned);
  EXPECT_TRUE(match.same);
  EXPECT_LT(match.spacing, 1e-3);
}

TEST(CompareSurfaces, FewPointsMatchNothing) {
  const PointsF few = Observe(Ellipsoid(1, 2, 3), kFewestMatchPoints - 1, 3, false);
  EXPECT_FALSE(CompareSurfaces(few, few).same);
  EXPECT_FALSE(CompareSurfaces(PointsF(0, 3), few).same);
}

}  // namespace
}  // namespace manyform

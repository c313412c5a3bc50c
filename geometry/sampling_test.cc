#include "geometry/sampling.h"

#include <vector>

#include "geometry/mesh.h"
#include "geometry/testing/golden.h"
#include "geometry/testing/shapes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using ::testing::HasSubstr;

TEST(Golden, SurfaceSamplesBitForBit) {
  for (const GoldenShape& shape : kGoldenShapes) {
    SCOPED_TRACE(shape.name);
    const Golden golden(absl::StrCat("b_shapes/stages/", shape.name));
    const TriangleMesh mesh = golden.Mesh("norm_vertices_f64", "load_faces");
    const std::vector<double> expected = golden.Doubles("pc_xyz_f64");
    NumpyRandomState random(shape.seed);
    const auto samples = SampleSurface(mesh, expected.size() / 3, random);
    ASSERT_TRUE(samples.ok()) << samples.status();
    EXPECT_EQ(samples->faces, golden.Ints("pc_face_index"));
    EXPECT_EQ(Flat(samples->points), expected);
    EXPECT_EQ(Flat(PointsF(samples->points.cast<float>())), golden.Floats("cache/pc_xyz"));
    const PointsD normals = FaceNormals(mesh);
    PointsF pc_n(samples->points.rows(), 3);
    for (Eigen::Index i = 0; i < pc_n.rows(); ++i) pc_n.row(i) = normals.row(samples->faces[i]).cast<float>();
    EXPECT_EQ(Flat(pc_n), golden.Floats("cache/pc_n"));
  }
}

TEST(SampleSurface, PointsLieOnTheirFaces) {
  NumpyRandomState random(5);
  const TriangleMesh mesh = RandomTriangles(40, 0.7, random);
  const auto samples = SampleSurface(mesh, 3000, random);
  ASSERT_TRUE(samples.ok());
  const std::vector<double> areas = FaceAreas(mesh);
  for (Eigen::Index i = 0; i < samples->points.rows(); ++i) {
    // The three triangles a point of a face forms with its edges add up to the face.
    const auto face = mesh.faces.row(samples->faces[i]);
    double sum = 0;
    for (int k = 0; k < 3; ++k) {
      TriangleMesh part{PointsD(3, 3), Faces(1, 3)};
      part.vertices << samples->points.row(i), mesh.vertices.row(face[k]),
          mesh.vertices.row(face[(k + 1) % 3]);
      part.faces << 0, 1, 2;
      sum += TotalArea(part);
    }
    ASSERT_NEAR(sum, areas[samples->faces[i]], 1e-12);
  }
}

TEST(SampleSurface, FollowsArea) {
  NumpyRandomState random(6);
  const TriangleMesh box = BoxMesh(1, 1, 0.1);  // the two large sides have 8 of 9.6 of the area
  const auto samples = SampleSurface(box, 40000, random);
  ASSERT_TRUE(samples.ok());
  const auto on_large = (samples->points.col(2).array().abs() > 0.1 - 1e-12).count();
  EXPECT_NEAR(on_large / 40000.0, 8 / 9.6, 0.01);
  EXPECT_LT(samples->points.colwise().mean().norm(), 0.02);
}

TEST(SampleSurface, RefusesWhatHasNoSurface) {
  NumpyRandomState random(0);
  TriangleMesh flat = BoxMesh(1, 0, 0);
  EXPECT_THAT(SampleSurface(flat, 5, random).status().message(), HasSubstr("no area"));
  EXPECT_THAT(SampleSurface(TriangleMesh{}, 5, random).status().message(), HasSubstr("no vertices"));
  EXPECT_FALSE(SampleSurface(BoxMesh(1, 1, 1), -1, random).ok());
  const auto none = SampleSurface(BoxMesh(1, 1, 1), 0, random);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->points.rows(), 0);
}

}  // namespace
}  // namespace manyform

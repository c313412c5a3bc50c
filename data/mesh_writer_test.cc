#include "data/mesh_writer.h"

#include <limits>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "data/mesh_reader.h"
#include "data/ply_points.h"
#include "geometry/testing/shapes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using ::testing::HasSubstr;

std::string Path(const std::string& name) { return JoinPath(testing::TempDir(), name); }

TEST(WriteMesh, ReadsBackToTheBit) {
  const TriangleMesh meshes[] = {SphereMesh(1 / 3.0, 12, 17), TorusMesh(0.6, 0.2, 30, 20),
                                 BoxMesh(1e5 / 7, 1 / 7.0, 1e-3 / 7)};
  for (const TriangleMesh& mesh : meshes) {
    for (const char* name : {"mesh.ply", "mesh.obj", "MESH.PLY", "MESH.OBJ"}) {
      SCOPED_TRACE(name);
      ASSERT_TRUE(WriteMesh(Path(name), mesh).ok());
      const auto read = ReadMesh(Path(name));
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(read->vertices, mesh.vertices);
      EXPECT_EQ(read->faces, mesh.faces);
    }
  }
}

TEST(WriteMesh, ATriangleIsThis) {
  TriangleMesh mesh{PointsD(3, 3), Faces(1, 3)};
  mesh.vertices << 0, 0, 0, 0.1, -1, 0, 1e-30, 2, 12345.678;
  mesh.faces << 0, 1, 2;
  ASSERT_TRUE(WriteMesh(Path("t.obj"), mesh).ok());
  EXPECT_EQ(*ReadFile(Path("t.obj")), "v 0 0 0\nv 0.1 -1 0\nv 1e-30 2 12345.678\nf 1 2 3\n");
  ASSERT_TRUE(WriteMesh(Path("t.ply"), mesh).ok());
  const std::string ply = *ReadFile(Path("t.ply"));
  const std::string header =
      "ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty double x\nproperty double y\n"
      "property double z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n";
  EXPECT_TRUE(absl::StartsWith(ply, header));
  EXPECT_EQ(ply.size(), header.size() + 9 * 8 + 1 + 3 * 4);
  EXPECT_EQ(ply.substr(ply.size() - 13), std::string("\3\0\0\0\0\1\0\0\0\2\0\0\0", 13));
}

TEST(WriteMesh, RefusesAndLeavesTheFileAlone) {
  ASSERT_TRUE(WriteFileAtomically(Path("kept.ply"), "before").ok());
  const auto refused = [](const char* name, const TriangleMesh& mesh, absl::StatusCode code) {
    const absl::Status status = WriteMesh(Path(name), mesh);
    EXPECT_EQ(status.code(), code);
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  };
  const TriangleMesh good = BoxMesh(1, 1, 1);
  refused("kept.ply", {}, absl::StatusCode::kInvalidArgument);
  TriangleMesh bad = good;
  bad.vertices(2, 1) = std::numeric_limits<double>::infinity();
  refused("kept.ply", bad, absl::StatusCode::kInvalidArgument);
  bad = good;
  bad.faces(3, 2) = 8;
  refused("kept.ply", bad, absl::StatusCode::kInvalidArgument);
  refused("mesh.stl", good, absl::StatusCode::kUnimplemented);
  EXPECT_EQ(*ReadFile(Path("kept.ply")), "before");
}

TEST(WritePoints, ComeBackToTheBit) {
  PointsF points(4, 3);
  points << 0, -1, 2, 1e-30f, 0.1f, 3e8f, -0.0f, 1, 1, 5, 6, 7;
  ASSERT_TRUE(WritePoints(Path("points.ply"), points).ok());
  const std::string bytes = *ReadFile(Path("points.ply"));
  const std::span<const uint8_t> view(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  const auto read = ParsePlyVertices(view, "points.ply");
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->count, 4);
  for (int i = 0; i < 12; ++i) EXPECT_EQ(read->values[i], double{points.data()[i]});
  ASSERT_TRUE(WritePoints(Path("none.ply"), PointsF(0, 3)).ok());
  points(2, 2) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(WritePoints(Path("points.ply"), points).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WritePoints(Path("points.xyz"), points.topRows(1)).code(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace manyform

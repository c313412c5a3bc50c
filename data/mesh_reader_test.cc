#include "data/mesh_reader.h"

#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/files.h"
#include "geometry/mesh.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

using FaceList = std::vector<std::vector<int32_t>>;

FaceList FacesOf(const TriangleMesh& mesh) {
  FaceList faces;
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    faces.push_back({mesh.faces(f, 0), mesh.faces(f, 1), mesh.faces(f, 2)});
  }
  return faces;
}

std::string Write(const std::string& name, const std::string& content) {
  std::string path = testing::TempDir() + "/" + name;
  EXPECT_TRUE(WriteFileAtomically(path, content).ok());
  return path;
}

std::string MessageFor(const std::string& name, const std::string& content) {
  const auto mesh = ReadMesh(Write(name, content));
  EXPECT_EQ(mesh.status().code(), absl::StatusCode::kInvalidArgument) << mesh.status();
  return std::string(mesh.status().message());
}

class GoldenLoader : public testing::TestWithParam<const char*> {};

TEST_P(GoldenLoader, VerticesAndFacesInOrder) {
  const std::string folder = "testdata/golden/b_shapes/loader/";
  const auto expected = nlohmann::json::parse(*ReadFile(folder + "loader.json")).at(GetParam());
  const auto mesh = ReadMesh(folder + GetParam());
  ASSERT_TRUE(mesh.ok()) << mesh.status();
  EXPECT_EQ(FacesOf(*mesh), expected["faces"].get<FaceList>());
  ASSERT_EQ(mesh->vertices.rows(), static_cast<Eigen::Index>(expected["vertices"].size()));
  for (Eigen::Index v = 0; v < mesh->vertices.rows(); ++v) {
    for (int k = 0; k < 3; ++k) EXPECT_EQ(mesh->vertices(v, k), expected["vertices"][v][k].get<double>());
  }
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenLoader,
                         testing::Values("quads_polys.obj", "only_quads.obj", "degenerate_dup.obj",
                                         "materials5.obj", "objects_groups.obj", "uv_normals.obj",
                                         "mixed.off", "glued_header.off", "modelnet_bug.off",
                                         "comments.off"));

constexpr char kTriangle[] = "v 0 0 0\nv 1 0 0\nv 0 1 0\n";

TEST(ReadMesh, ObjErrorsNameFileAndLine) {
  const std::pair<std::string, std::string> cases[] = {
      {"v 0 0\n", ":1: a vertex needs three numbers"},
      {"v 0 0 x\n", ":1: a vertex needs three numbers"},
      {std::string(kTriangle) + "\nf 1 2 4\nf 1 2 3\n", ":5: face refers to vertex 4, but the file has 3"},
      {std::string(kTriangle) + "f 1 2 0\n", ":4: face index 0"},
      {std::string(kTriangle) + "f 1 2 -4\n", ":4: face index -4, but only 3 came before"},
      {std::string(kTriangle) + "f 1 2 x\n", ":4: a face needs vertex indices"},
      {std::string(kTriangle) + "f 1 2 3.5\n", ":4: malformed face"},
      {std::string(kTriangle) + "f 1 2 99999999999\n", ":4: a face needs vertex indices"},
      {kTriangle, ": no faces"},
      {"", ": no faces"},
      {std::string(kTriangle) + "f 1 2\n", ": no faces"},
      {"v nan 0 0\nv 1 0 0\nv 0 1 inf\nf 1 2 3\n", ": no faces with finite vertices"},
  };
  for (const auto& [content, expected] : cases) {
    const std::string message = MessageFor("bad.obj", content);
    EXPECT_TRUE(absl::StrContains(message, "bad.obj" + expected)) << message;
  }
}

TEST(ReadMesh, OffErrorsNameFileAndLine) {
  const std::pair<std::string, std::string> cases[] = {
      {"", ":1: \"OFF\" expected"},
      {"ply\n", ":1: \"OFF\" expected"},
      {"OFF BINARY\n3 1 0\n", ":1: numbers of vertices and faces expected"},
      {"OFF\n3 1 0\n0 0 0\n", "the file ends before 3 vertices and 1 faces"},
      {"OFF\n2000000000 2000000000 0\n0 0 0\n", "the file ends before 2000000000"},
      {"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1\n3 0 1 2\n", ":5: a vertex needs three numbers"},
      {"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n", ":6: face refers to vertex 3; the file has 3"},
      {"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 -1\n", ":6: face refers to vertex -1"},
      {"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1\n", ":6: a face of 3 corners"},
      {"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n2147483647 0 1\n", ":6: a face of 2147483647 corners"},
      {"OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0.00\n3 0 1 2\n", ": the file ends after 1 of 2 faces"},
      {"OFF\n-3 1 0\n", ":2: numbers of vertices and faces expected"},
  };
  for (const auto& [content, expected] : cases) {
    const std::string message = MessageFor("bad.off", content);
    EXPECT_TRUE(absl::StrContains(message, expected)) << message;
  }
}

TEST(ReadMesh, ObjOddities) {
  // Windows line ends, a joined line, a plus sign, an exponent, no newline at the end, indices that count
  // back, no material library, colours behind the position.
  const auto mesh = ReadMesh(Write("odd.obj",
                                   "mtllib none.mtl\r\nv +0 0 0 1 0 0\r\nv 1e0 0 \\\r\n 0\r\n"
                                   "v 0 1 0 # last\r\nusemtl a b\r\nf -3//1 -2//1 -1//1"));
  ASSERT_TRUE(mesh.ok()) << mesh.status();
  EXPECT_EQ(FacesOf(*mesh), (FaceList{{0, 1, 2}}));
  EXPECT_EQ(mesh->vertices.row(1), Eigen::RowVector3d(1, 0, 0));
}

TEST(ReadMesh, ObjFacesWithoutFiniteVerticesGoAlone) {
  const auto mesh = ReadMesh(Write("partly.obj", std::string(kTriangle) + "v nan 0 0\nf 1 2 4\nf 1 2 3\n"));
  ASSERT_TRUE(mesh.ok()) << mesh.status();
  EXPECT_EQ(FacesOf(*mesh), (FaceList{{0, 1, 2}}));
  EXPECT_TRUE(ValidateMesh(*mesh).ok());
}

TEST(ReadMesh, ObjTextureIndexWithoutCoordinateIsNoTexture) {
  const auto mesh =
      ReadMesh(Write("uv.obj", std::string(kTriangle) + "v 0 0 1\nvt 0 0\nf 1/1 2/9 3/1\nf 1/1 2/1 4/1\n"));
  ASSERT_TRUE(mesh.ok()) << mesh.status();
  EXPECT_EQ(mesh->vertices.rows(), 4);
}

// Polygons in random files: areas agree whatever the order of triangles, and OBJ agrees with OFF.
TEST(ReadMesh, RandomPolygonsKeepTheirArea) {
  std::mt19937 random(5);
  for (int round = 0; round < 30; ++round) {
    std::string obj, off_vertices, off_faces;
    double area = 0;
    int vertices = 0, faces = 0;
    for (int f = 0; f < 20; ++f, ++faces) {
      // A regular n-gon of radius 1 has area n/2 sin(2 pi / n).
      const int n = 3 + random() % 5;
      obj += random() % 4 == 0 ? absl::StrCat("usemtl m", random() % 3, "\n") : "";
      std::string corners;
      for (int k = 0; k < n; ++k) {
        const double angle = 2 * M_PI * k / n;
        const std::string p = absl::StrFormat("%.17g %.17g %d\n", cos(angle), sin(angle), f);
        obj += "v " + p;
        off_vertices += p;
        absl::StrAppend(&corners, " ", vertices++);
      }
      obj += "f";
      for (int k = n; k > 0; --k) absl::StrAppend(&obj, " -", k);
      obj += "\n";
      absl::StrAppend(&off_faces, n, corners, "\n");
      area += n / 2.0 * sin(2 * M_PI / n);
    }
    const auto a = ReadMesh(Write("random.obj", obj));
    const auto b = ReadMesh(
        Write("random.off", absl::StrCat("OFF\n", vertices, " ", faces, " 0\n", off_vertices, off_faces)));
    ASSERT_TRUE(a.ok()) << a.status();
    ASSERT_TRUE(b.ok()) << b.status();
    EXPECT_NEAR(TotalArea(*a), area, 1e-9);
    EXPECT_NEAR(TotalArea(*b), area, 1e-9);
    EXPECT_EQ(a->faces.rows(), b->faces.rows());
  }
}

}  // namespace
}  // namespace manyform

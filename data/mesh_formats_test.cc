// One small mesh in every format, with the errors of each.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/files.h"
#include "data/mesh_reader.h"
#include "geometry/mesh.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr double kCorners[4][3] = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
constexpr int kFaces[4][3] = {{0, 2, 1}, {0, 1, 3}, {0, 3, 2}, {1, 2, 3}};
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

TriangleMesh MustRead(const std::string& name, const std::string& content) {
  auto mesh = ReadMesh(Write(name, content));
  EXPECT_TRUE(mesh.ok()) << mesh.status();
  return mesh.ok() ? *std::move(mesh) : TriangleMesh();
}

void ExpectError(const std::string& name, const std::string& content, const std::string& expected) {
  const auto status = ReadMesh(Write(name, content)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), name)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), expected)) << status;
}

// The tetrahedron's corners and faces in order, moved.
using Move = std::function<Eigen::RowVector3d(double x, double y, double z)>;
void ExpectTetrahedron(const TriangleMesh& mesh, const Move& move, Eigen::Index first_face = 0) {
  ASSERT_GE(mesh.faces.rows(), first_face + 4);
  for (int f = 0; f < 4; ++f) {
    for (int k = 0; k < 3; ++k) {
      const double* p = kCorners[kFaces[f][k]];
      const Eigen::RowVector3d expected = move(p[0], p[1], p[2]);
      EXPECT_LT((mesh.vertices.row(mesh.faces(first_face + f, k)) - expected).norm(), 1e-6) << f << " " << k;
    }
  }
}
Eigen::RowVector3d Stay(double x, double y, double z) { return {x, y, z}; }

template <class T>
void Put(std::string* bytes, T value, bool big = false) {
  char raw[sizeof(T)];
  memcpy(raw, &value, sizeof(T));
  if (big) std::reverse(raw, raw + sizeof(T));
  bytes->append(raw, sizeof(T));
}

std::string PlyHeader(const std::string& format, const std::string& real, int vertices, int faces) {
  return absl::StrCat(
      "ply\nformat ", format, " 1.0\ncomment made by hand\nelement vertex ", vertices, "\nproperty ", real,
      " x\nproperty ", real, " y\nproperty ", real, " z\nproperty uchar red\nelement face ", faces,
      "\nproperty list uchar float weights\nproperty list uchar int vertex_indices\nend_header\n");
}

std::string BinaryPly(bool big, bool doubles) {
  std::string ply =
      PlyHeader(big ? "binary_big_endian" : "binary_little_endian", doubles ? "double" : "float", 4, 4);
  for (const auto& p : kCorners) {
    for (const double x : p) doubles ? Put(&ply, x, big) : Put(&ply, static_cast<float>(x), big);
    Put(&ply, uint8_t{200});
  }
  for (const auto& f : kFaces) {
    Put(&ply, uint8_t{2});
    for (const float w : {0.5f, 2.f}) Put(&ply, w, big);
    Put(&ply, uint8_t{3});
    for (const int v : f) Put(&ply, int32_t{v}, big);
  }
  return ply;
}

TEST(Ply, TextAndBothBinaryKinds) {
  std::string text = PlyHeader("ascii", "float", 4, 4);
  for (const auto& p : kCorners) absl::StrAppendFormat(&text, "%g %g %g 200\n", p[0], p[1], p[2]);
  for (const auto& f : kFaces) absl::StrAppendFormat(&text, "2 0.5 2 3 %d %d %d\n", f[0], f[1], f[2]);
  for (const std::string& ply : {text, BinaryPly(false, false), BinaryPly(true, false),
                                 BinaryPly(false, true), BinaryPly(true, true)}) {
    const TriangleMesh mesh = MustRead("t.PLY", ply);
    EXPECT_EQ(mesh.vertices.rows(), 4);
    ExpectTetrahedron(mesh, Stay);
    EXPECT_TRUE(IsWatertight(mesh));
    // The end of the last line is no loss.
    const size_t needed = ply == text ? 2 : 1;
    for (size_t cut = needed; cut < ply.size(); cut += 1 + cut / 40) {
      EXPECT_FALSE(ReadMesh(Write("cut.ply", ply.substr(0, ply.size() - cut))).ok()) << cut;
    }
  }
}

TEST(Ply, PolygonsInThePublishedOrderStripsAndTextures) {
  const std::string vertices = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n0.5 2 0\n";
  const auto header = [](const std::string& more, const std::string& element) {
    return "ply\nformat ascii 1.0\nelement vertex 5\nproperty double x\nproperty double y\nproperty double "
           "z\n" +
           more + "element " + element + "\nproperty list uchar int vertex_index\nend_header\n";
  };
  EXPECT_EQ(
      FacesOf(MustRead("p.ply",
                       header("", "face 4") + vertices + "5 0 1 2 4 3\n4 0 1 2 3\n3 0 1 2\n4 1 2 4 3\n")),
      (FaceList{{0, 1, 2}, {0, 1, 2}, {1, 2, 4}, {2, 3, 0}, {4, 3, 1}, {0, 1, 2}, {0, 2, 4}, {0, 4, 3}}));
  EXPECT_EQ(FacesOf(MustRead("s.ply", header("", "tristrips 1") + vertices + "8 0 1 2 3 -1 2 3 4\n")),
            (FaceList{{0, 1, 2}, {2, 1, 3}, {2, 3, 4}}));
  // The first and the last vertex are in one place, with different textures.
  const std::string uv = "property float s\nproperty float t\n";
  const std::string textured = "0 0 0 0 0\n1 0 0 0 0\n0 1 0 0 0\n0 0 0 0 0\n0 0 0 1 1\n";
  EXPECT_EQ(FacesOf(MustRead("u.ply", header(uv, "face 2") + textured + "3 0 1 2\n3 3 1 4\n")),
            (FaceList{{0, 1, 2}, {0, 1, 3}}));
}

TEST(Ply, WhatIsNotFiniteUnusedOrEqual) {
  const std::string header =
      "ply\nformat ascii 1.0\nelement vertex 6\nproperty float x\nproperty float y\nproperty float z\n"
      "element face 2\nproperty list uchar int vertex_indices\nend_header\n";
  const TriangleMesh mesh =
      MustRead("n.ply", header + "9 9 9\n0 0 0\n1 0 0\n0 1 0\nnan 0 0\n0 1 0\n3 1 2 4\n3 1 2 5\n");
  EXPECT_EQ(mesh.vertices.rows(), 3);
  EXPECT_EQ(FacesOf(mesh), (FaceList{{0, 1, 2}}));
}

TEST(Ply, ErrorsAreNamed) {
  const auto ply = [](const std::string& vertex, const std::string& faces) {
    return "ply\nformat ascii 1.0\n" + vertex + "element face 1\n" + faces + "end_header\n0 0 0\n";
  };
  const std::string xyz = "element vertex 1\nproperty float x\nproperty float y\nproperty float z\n";
  const std::string list = "property list uchar int vertex_indices\n";
  ExpectError("e.ply", "", ":1: \"ply\" expected");
  ExpectError("e.ply", ply("element vertex 1\nproperty float x\n", list), "no x, y and z");
  ExpectError("e.ply", ply(xyz, "property int material\n") + "1\n", "face has no list vertex_indices");
  ExpectError("e.ply", ply(xyz, list) + "3 0 0 1\n", "face 0 refers to vertex 1; the file has 1");
  ExpectError("e.ply", ply(xyz, list) + "3 0 0 -1\n", "face 0 refers to vertex -1");
  ExpectError("e.ply", ply(xyz, list) + "3 0 0 0.5\n", "face 0 refers to vertex 0.5");
  ExpectError("e.ply", ply(xyz, list) + "3 0 0\n", "row 0 of 1 of element face");
  ExpectError("e.ply", ply(xyz, list) + "2 0 0\n", "no faces");
  ExpectError("cloud.ply", "ply\nformat ascii 1.0\n" + xyz + "end_header\n0 0 0\n", "no faces");
}

std::string BinaryStl(const std::string& start) {
  std::string stl = start + std::string(80 - start.size(), ' ');
  Put(&stl, uint32_t{4});
  for (const auto& f : kFaces) {
    for (int k = 0; k < 3; ++k) Put(&stl, 0.f);
    for (const int v : f) {
      for (const double x : kCorners[v]) Put(&stl, static_cast<float>(x));
    }
    Put(&stl, uint16_t{0});
  }
  return stl;
}

std::string TextStl(double scale) {
  std::string stl = "solid part # 1\n";
  for (const auto& f : kFaces) {
    stl += " facet normal 0 0 0\n  outer loop\n";
    for (const int v : f) {
      absl::StrAppendFormat(&stl, "   vertex %.17g %.17g %.17g\n", scale * kCorners[v][0],
                            scale * kCorners[v][1], scale * kCorners[v][2]);
    }
    stl += "  endloop\n endfacet\n";
  }
  return stl + "endsolid part\n";
}

TEST(Stl, TextAndBinary) {
  for (const std::string& stl :
       {TextStl(1), BinaryStl("made by hand"), BinaryStl("solid lie"), BinaryStl("x") + "more"}) {
    const TriangleMesh mesh = MustRead("t.STL", stl);
    EXPECT_EQ(mesh.vertices.rows(), 4);
    ExpectTetrahedron(mesh, Stay);
    EXPECT_TRUE(IsWatertight(mesh));
  }
  // Text keeps its digits.
  EXPECT_EQ(MustRead("d.stl", TextStl(0.1)).vertices.maxCoeff(), 0.1);
  const TriangleMesh two = MustRead("two.stl", TextStl(1) + "\nSOLID\n" + TextStl(3).substr(15));
  EXPECT_EQ(CountComponents(two), 1) << "they share the origin";
  EXPECT_NEAR(Volume(two), (1 + 27) / 6.0, 1e-9);
}

TEST(Stl, ErrorsAreNamed) {
  const std::string binary = BinaryStl("x"), text = TextStl(1);
  for (size_t size = 0; size < binary.size(); size += 3) {
    EXPECT_FALSE(ReadMesh(Write("cut.stl", binary.substr(0, size))).ok()) << size;
  }
  for (size_t size = 0; size < text.size() - strlen("endsolid part\n") + 7; size += 3) {
    EXPECT_FALSE(ReadMesh(Write("cut.stl", text.substr(0, size))).ok()) << size;
  }
  ExpectError("e.stl", "", "0 bytes are no STL");
  ExpectError("e.stl", "solid\nvertex 0 0\n", ":2: a vertex needs three numbers");
  ExpectError("e.stl", "solid\nfacet\nvertex 0 0 0\nvertex 0 0 1\nendfacet\n", ":5: a facet has three");
  ExpectError("e.stl", "solid\nvertex 0 0 0\nvertex 0 0 1\nendsolid\n", ":4: a facet has three");
  ExpectError("e.stl", "solid\nhello\n", ":2: unknown keyword \"hello\"");
  ExpectError("e.stl", "solid\nsolid\n", ":2: a solid within a solid");
  ExpectError("e.stl", "solid a\nendsolid\n", "no faces");
}

TEST(ReadMesh, EmptyAndUnknownFiles) {
  for (const char* ending : {"obj", "off", "ply", "stl", "gltf", "glb", "dae", "3ds"}) {
    ExpectError(absl::StrCat("empty.", ending), "", ": ");
    EXPECT_EQ(ReadMesh(absl::StrCat("none.", ending)).status().code(), absl::StatusCode::kNotFound);
  }
  for (const char* name : {"t.xyzzy", "t", "t.fbx"}) {
    const auto status = ReadMesh(Write(name, "x")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << status;
  }
}

}  // namespace
}  // namespace manyform

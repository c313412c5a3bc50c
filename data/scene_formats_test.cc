// glTF, GLB, Collada and 3DS: nodes with transforms, and what damage does.
#include <cmath>
#include <random>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "data/mesh_reader.h"
#include "geometry/mesh.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr float kCorners[4][3] = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
constexpr uint16_t kFaces[4][3] = {{0, 2, 1}, {0, 1, 3}, {0, 3, 2}, {1, 2, 3}};

std::string Write(const std::string& name, const std::string& content) {
  std::string path = testing::TempDir() + "/" + name;
  EXPECT_TRUE(WriteFileAtomically(path, content).ok());
  return path;
}

TriangleMesh MustRead(const std::string& path) {
  auto mesh = ReadMesh(path);
  EXPECT_TRUE(mesh.ok()) << mesh.status();
  return mesh.ok() ? *std::move(mesh) : TriangleMesh();
}

template <class T>
void Put(std::string* bytes, T value) {
  bytes->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Faces [first, first + 4) are the tetrahedron's, each corner moved by `move`.
template <class Move>
void ExpectTetrahedron(const TriangleMesh& mesh, Eigen::Index first, Move move) {
  ASSERT_GE(mesh.faces.rows(), first + 4);
  for (int f = 0; f < 4; ++f) {
    for (int k = 0; k < 3; ++k) {
      const float* p = kCorners[kFaces[f][k]];
      const Eigen::RowVector3d expected = move(double{p[0]}, double{p[1]}, double{p[2]});
      EXPECT_LT((mesh.vertices.row(mesh.faces(first + f, k)) - expected).norm(), 1e-5) << f << " " << k;
    }
  }
}

// First scaled by 2, 3, 4, then turned by 90 degrees about z (x to y), then moved by 5, 6, 7.
Eigen::RowVector3d Placed(double x, double y, double z) { return {5 - 3 * y, 6 + 2 * x, 7 + 4 * z}; }
// The same, put below a node that doubles and moves by 1 along x.
Eigen::RowVector3d PlacedBelow(double x, double y, double z) {
  return 2 * Placed(x, y, z) + Eigen::RowVector3d(1, 0, 0);
}
Eigen::RowVector3d Stay(double x, double y, double z) { return {x, y, z}; }

std::string Buffer() {
  std::string buffer;
  for (const auto& p : kCorners) {
    for (const float x : p) Put(&buffer, x);
  }
  for (const auto& f : kFaces) {
    for (const uint16_t v : f) Put(&buffer, v);
  }
  return buffer;
}

// Three nodes show one mesh: as it is, placed, and placed below another.
std::string Gltf(const std::string& buffer) {
  return absl::StrCat(R"({"asset":{"version":"2.0"},"scene":0,"scenes":[{"nodes":[0,1,2]}],
    "nodes":[{"mesh":0},
             {"mesh":0,"translation":[5,6,7],"rotation":[0,0,0.70710678,0.70710678],"scale":[2,3,4]},
             {"matrix":[2,0,0,0, 0,2,0,0, 0,0,2,0, 1,0,0,1],"children":[3]},
             {"mesh":0,"translation":[5,6,7],"rotation":[0,0,0.70710678,0.70710678],"scale":[2,3,4]}],
    "meshes":[{"primitives":[{"attributes":{"POSITION":0},"indices":1}]}],
    "accessors":[{"bufferView":0,"componentType":5126,"count":4,"type":"VEC3","min":[0,0,0],"max":[1,1,1]},
                 {"bufferView":1,"componentType":5123,"count":12,"type":"SCALAR"}],
    "bufferViews":[{"buffer":0,"byteOffset":0,"byteLength":48},{"buffer":0,"byteOffset":48,"byteLength":24}],
    "buffers":[{)",
                      buffer, R"("byteLength":72}]})");
}

std::string Glb() {
  std::string json = Gltf(""), glb = "glTF";
  json.resize((json.size() + 3) / 4 * 4, ' ');
  const std::string buffer = Buffer();
  Put(&glb, uint32_t{2});
  Put(&glb, static_cast<uint32_t>(12 + 8 + json.size() + 8 + buffer.size()));
  Put(&glb, static_cast<uint32_t>(json.size()));
  glb += "JSON" + json;
  Put(&glb, static_cast<uint32_t>(buffer.size()));
  glb += std::string("BIN\0", 4) + buffer;
  return glb;
}

TEST(Scenes, GltfAndGlbNodes) {
  Write("t.bin", Buffer());
  const std::string paths[] = {
      Write("external.gltf", Gltf(R"("uri":"t.bin",)")),
      Write("inline.gltf", Gltf(absl::StrCat("\"uri\":\"data:application/octet-stream;base64,",
                                             absl::Base64Escape(Buffer()), "\","))),
      Write("t.GLB", Glb()),
  };
  for (const std::string& path : paths) {
    const TriangleMesh mesh = MustRead(path);
    EXPECT_EQ(mesh.faces.rows(), 12) << path;
    ExpectTetrahedron(mesh, 0, Stay);
    ExpectTetrahedron(mesh, 4, Placed);
    ExpectTetrahedron(mesh, 8, PlacedBelow);
    EXPECT_EQ(CountComponents(mesh), 3);
    EXPECT_TRUE(IsWatertight(mesh));
    EXPECT_NEAR(Volume(mesh), (1 + 24 + 8 * 24) / 6.0, 1e-4);
  }
}

std::string Collada(const std::string& polygons) {
  return absl::StrCat(R"(<?xml version="1.0"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
 <asset><unit meter="0.01" name="centimeter"/><up_axis>Z_UP</up_axis></asset>
 <library_geometries><geometry id="g"><mesh>
  <source id="p"><float_array id="pa" count="15">0 0 0 1 0 0 0 1 0 0 0 1 0.5 2 0</float_array>
   <technique_common><accessor source="#pa" count="5" stride="3"><param name="X" type="float"/>
    <param name="Y" type="float"/><param name="Z" type="float"/></accessor></technique_common></source>
  <vertices id="v"><input semantic="POSITION" source="#p"/></vertices>)",
                      polygons, R"(
 </mesh></geometry></library_geometries>
 <library_visual_scenes><visual_scene id="s">
  <node id="a"><instance_geometry url="#g"/></node>
  <node id="b"><translate>5 6 7</translate><rotate>0 0 1 90</rotate><scale>2 3 4</scale>
   <instance_geometry url="#g"/></node>
  <node id="c"><matrix>2 0 0 1  0 2 0 0  0 0 2 0  0 0 0 1</matrix>
   <node id="d"><translate>5 6 7</translate><rotate>0 0 1 90</rotate><scale>2 3 4</scale>
    <instance_geometry url="#g"/></node></node>
 </visual_scene></library_visual_scenes>
 <scene><instance_visual_scene url="#s"/></scene>
</COLLADA>)");
}

TEST(Scenes, ColladaNodesInTheFilesAxesAndUnits) {
  const TriangleMesh mesh = MustRead(Write("t.dae", Collada(R"(<triangles count="4">
    <input semantic="VERTEX" source="#v" offset="0"/><p>0 2 1 0 1 3 0 3 2 1 2 3</p></triangles>)")));
  EXPECT_EQ(mesh.faces.rows(), 12);
  ExpectTetrahedron(mesh, 0, Stay);
  ExpectTetrahedron(mesh, 4, Placed);
  ExpectTetrahedron(mesh, 8, PlacedBelow);
  EXPECT_EQ(CountComponents(mesh), 3);
}

TEST(Scenes, ColladaPolygonsInThePublishedOrder) {
  const TriangleMesh mesh = MustRead(Write("poly.dae", Collada(R"(<polylist count="3">
    <input semantic="VERTEX" source="#v" offset="0"/><vcount>4 3 4</vcount>
    <p>0 1 4 2 0 1 3 1 2 3 0</p></polylist>)")));
  ASSERT_EQ(mesh.faces.rows(), 15);
  const int expected[5][3] = {{0, 1, 3}, {0, 1, 4}, {1, 2, 3}, {4, 2, 0}, {3, 0, 1}};
  const double corners[5][3] = {{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0.5, 2, 0}};
  for (int f = 0; f < 5; ++f) {
    for (int k = 0; k < 3; ++k) {
      const double* p = corners[expected[f][k]];
      EXPECT_LT((mesh.vertices.row(mesh.faces(f, k)) - Eigen::RowVector3d(p[0], p[1], p[2])).norm(), 1e-6);
    }
  }
}

std::string Chunk(uint16_t id, const std::string& content) {
  std::string chunk;
  Put(&chunk, id);
  Put(&chunk, static_cast<uint32_t>(content.size() + 6));
  return chunk + content;
}

// Two objects in world coordinates, as 3DS has them.
std::string ThreeDs() {
  std::string objects;
  for (const bool placed : {false, true}) {
    std::string vertices, faces;
    Put(&vertices, uint16_t{4});
    for (const auto& p : kCorners) {
      const Eigen::RowVector3d v = placed ? Placed(p[0], p[1], p[2]) : Stay(p[0], p[1], p[2]);
      for (int k = 0; k < 3; ++k) Put(&vertices, static_cast<float>(v[k]));
    }
    Put(&faces, uint16_t{4});
    for (const auto& f : kFaces) {
      for (const uint16_t v : f) Put(&faces, v);
      Put(&faces, uint16_t{0});
    }
    objects += Chunk(0x4000, std::string(placed ? "b" : "a") + '\0' +
                                 Chunk(0x4100, Chunk(0x4110, vertices) + Chunk(0x4120, faces)));
  }
  return Chunk(0x4D4D, Chunk(0x3D3D, objects));
}

TEST(Scenes, ThreeDsInTheFilesAxes) {
  const TriangleMesh mesh = MustRead(Write("t.3ds", ThreeDs()));
  EXPECT_EQ(mesh.faces.rows(), 8);
  ExpectTetrahedron(mesh, 0, Stay);
  ExpectTetrahedron(mesh, 4, Placed);
  EXPECT_EQ(CountComponents(mesh), 2);
  EXPECT_TRUE(IsWatertight(mesh));
}

// A name decides the reader: what is inside may be for another one, which nobody has tried.
TEST(Scenes, OtherContentIsRefused) {
  const std::string obj = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n";
  for (const char* ending : {"gltf", "glb", "dae", "3ds"}) {
    for (const std::string& content : {obj, std::string("solid a\nendsolid a\n"), std::string(100, '\0')}) {
      const auto status = ReadMesh(Write(absl::StrCat("other.", ending), content)).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
      EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("other.", ending, ": "))) << status;
    }
  }
  const auto status = ReadMesh(Write("alone.gltf", Gltf(R"("uri":"missing.bin",)"))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
}

// Damaged files are read as something or refused, by name; this process lives on.
TEST(Scenes, DamageIsNoCrash) {
  std::mt19937 random(11);
  const std::pair<std::string, std::string> files[] = {
      {"d.glb", Glb()},
      {"d.3ds", ThreeDs()},
      {"d.dae", Collada("<triangles count=\"4\"><input semantic=\"VERTEX\" source=\"#v\" offset=\"0\"/>"
                        "<p>0 2 1 0 1 3 0 3 2 1 2 3</p></triangles>")},
  };
  int refused = 0;
  for (const auto& [name, whole] : files) {
    for (int round = 0; round < 40; ++round) {
      std::string content = whole;
      if (round % 2 == 0) content.resize(random() % whole.size());
      for (int flips = round % 4; flips > 0 && !content.empty(); --flips) {
        content[random() % content.size()] ^= static_cast<char>(1 << random() % 8);
      }
      const auto mesh = ReadMesh(Write(name, content));
      if (mesh.ok()) {
        EXPECT_TRUE(ValidateMesh(*mesh).ok());
        continue;
      }
      ++refused;
      EXPECT_EQ(mesh.status().code(), absl::StatusCode::kInvalidArgument) << mesh.status();
      EXPECT_TRUE(absl::StrContains(mesh.status().message(), name)) << mesh.status();
    }
  }
  EXPECT_GT(refused, 30);
}

}  // namespace
}  // namespace manyform

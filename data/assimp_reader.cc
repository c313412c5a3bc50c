#include "data/assimp_reader.h"

#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "assimp/BaseImporter.h"
#include "assimp/Importer.hpp"
#include "assimp/config.h"
#include "assimp/importerdesc.h"
#include "assimp/postprocess.h"
#include "assimp/scene.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/isolated.h"
#include "data/polygons.h"
#include "geometry/mesh.h"

namespace manyform {
namespace {

constexpr absl::string_view kExtensions[] = {".gltf", ".glb", ".dae", ".3ds"};
constexpr int kMaxDepth = 1000;
// What a node shows is limited: meshes shared by nested nodes could multiply beyond any memory.
constexpr int64_t kMaxCorners = int64_t{1} << 29;

// What nodes have shown so far.
struct Shown {
  int64_t corners = 0;
  std::vector<TriangleMesh> meshes;
};

PointsD TransformedVertices(const aiMesh& mesh, const aiMatrix4x4& m) {
  PointsD vertices(mesh.mNumVertices, 3);
  for (unsigned v = 0; v < mesh.mNumVertices; ++v) {
    const aiVector3D& p = mesh.mVertices[v];
    const auto row = [&](ai_real x, ai_real y, ai_real z, ai_real w) {
      return double{x} * p.x + double{y} * p.y + double{z} * p.z + w;
    };
    vertices.row(v) << row(m.a1, m.a2, m.a3, m.a4), row(m.b1, m.b2, m.b3, m.b4), row(m.c1, m.c2, m.c3, m.c4);
  }
  return vertices;
}

absl::StatusOr<TriangleMesh> TransformedMesh(const aiMesh& source, const aiMatrix4x4& to_world) {
  std::vector<int32_t> sizes, corners;
  sizes.reserve(source.mNumFaces);
  for (unsigned f = 0; f < source.mNumFaces; ++f) {
    const aiFace& face = source.mFaces[f];
    sizes.push_back(static_cast<int32_t>(face.mNumIndices));
    // An index beyond int32 becomes negative, and is refused below.
    for (unsigned k = 0; k < face.mNumIndices; ++k) corners.push_back(static_cast<int32_t>(face.mIndices[k]));
  }
  const std::vector<int64_t> order = Triangulate(sizes, TriangleOrder::kBySize);
  TriangleMesh mesh{TransformedVertices(source, to_world), Faces(order.size() / 3, 3)};
  for (size_t i = 0; i < order.size(); ++i) mesh.faces(i / 3, i % 3) = corners[order[i]];
  if (!source.HasTextureCoords(0)) return MergeVertices(mesh);
  UvD uv(source.mNumVertices, 2);
  for (unsigned v = 0; v < source.mNumVertices; ++v) {
    uv.row(v) << source.mTextureCoords[0][v].x, source.mTextureCoords[0][v].y;
  }
  return MergeVertices(mesh, &uv);
}

absl::Status AppendNode(const aiScene& scene, const aiNode& node, const aiMatrix4x4& to_world, int depth,
                        Shown* shown) {
  if (depth > kMaxDepth) return absl::InvalidArgumentError("nodes are nested too deeply");
  for (unsigned i = 0; i < node.mNumMeshes; ++i) {
    if (node.mMeshes[i] >= scene.mNumMeshes) {
      return absl::InvalidArgumentError(
          absl::StrCat("a node shows mesh ", node.mMeshes[i], " of ", scene.mNumMeshes));
    }
    const aiMesh& mesh = *scene.mMeshes[node.mMeshes[i]];
    for (unsigned f = 0; f < mesh.mNumFaces; ++f) shown->corners += mesh.mFaces[f].mNumIndices;
    shown->corners += mesh.mNumVertices;
    if (shown->corners > kMaxCorners) return absl::InvalidArgumentError("the scene shows too many faces");
    MF_ASSIGN_OR_RETURN(TriangleMesh transformed, TransformedMesh(mesh, to_world));
    shown->meshes.push_back(std::move(transformed));
  }
  for (unsigned i = 0; i < node.mNumChildren; ++i) {
    const aiNode& child = *node.mChildren[i];
    MF_RETURN_IF_ERROR(AppendNode(scene, child, to_world * child.mTransformation, depth + 1, shown));
  }
  return absl::OkStatus();
}

// Assimp looks at the content where the name does not decide: only readers of this kind of file stay.
void KeepReadersOf(std::string_view extension, Assimp::Importer* importer) {
  for (size_t i = importer->GetImporterCount(); i-- > 0;) {
    const aiImporterDesc* description = importer->GetImporterInfo(i);
    const absl::string_view all = description == nullptr ? "" : description->mFileExtensions;
    bool reads = false;
    for (const absl::string_view known : absl::StrSplit(all, ' ')) {
      reads |= known == ToAbsl(extension.substr(1));
    }
    if (reads) continue;
    Assimp::BaseImporter* const reader = importer->GetImporter(i);
    importer->UnregisterLoader(reader);
    delete reader;
  }
}

absl::StatusOr<TriangleMesh> ReadScene(const std::string& path, std::string_view extension) {
  Assimp::Importer importer;
  KeepReadersOf(extension, &importer);
  importer.SetPropertyBool(AI_CONFIG_IMPORT_COLLADA_IGNORE_UP_DIRECTION, true);
  const aiScene* const scene = importer.ReadFile(path, aiProcess_ValidateDataStructure);
  if (scene == nullptr) return absl::InvalidArgumentError(importer.GetErrorString());
  return MeshOfScene(*scene, extension == ".gltf" || extension == ".glb");
}

// Numbers of vertices and faces, then these.
std::string Encode(const TriangleMesh& mesh) {
  const int64_t counts[2] = {mesh.vertices.rows(), mesh.faces.rows()};
  std::string bytes(reinterpret_cast<const char*>(counts), sizeof(counts));
  bytes.append(reinterpret_cast<const char*>(mesh.vertices.data()), mesh.vertices.size() * sizeof(double));
  bytes.append(reinterpret_cast<const char*>(mesh.faces.data()), mesh.faces.size() * sizeof(int32_t));
  return bytes;
}

TriangleMesh Decode(const std::string& bytes) {
  int64_t counts[2];
  memcpy(counts, bytes.data(), sizeof(counts));
  TriangleMesh mesh{PointsD(counts[0], 3), Faces(counts[1], 3)};
  const char* vertices = bytes.data() + sizeof(counts);
  const size_t size = mesh.vertices.size() * sizeof(double);
  if (size > 0) memcpy(mesh.vertices.data(), vertices, size);
  if (mesh.faces.size() > 0) memcpy(mesh.faces.data(), vertices + size, mesh.faces.size() * sizeof(int32_t));
  return mesh;
}

}  // namespace

bool AssimpReads(std::string_view extension) {
  for (const absl::string_view known : kExtensions) {
    if (known == ToAbsl(extension)) return true;
  }
  return false;
}

absl::StatusOr<TriangleMesh> ReadWithAssimp(const std::string& path) {
  const std::string extension = absl::AsciiStrToLower(path.substr(path.rfind('.')));
  std::error_code ignored;
  const uintmax_t size = std::filesystem::file_size(path, ignored);
  const double mebibytes = static_cast<double>(size) / (1 << 20);
  // Damaged numbers ask for gigabytes; sound files, in the densest of these formats, for a few dozen times
  // their size.
  const IsolationLimits limits = {.seconds = 60 + mebibytes, .bytes = (uint64_t{2} << 30) + 64 * size};
  const auto read = [&]() -> absl::StatusOr<std::string> {
    MF_ASSIGN_OR_RETURN(const TriangleMesh mesh, ReadScene(path, extension));
    return Encode(mesh);
  };
  const absl::StatusOr<std::string> mesh = RunIsolated(read, limits);
  if (mesh.ok()) return Decode(*mesh);
  return absl::Status(mesh.status().code(), absl::StrCat(path, ": Assimp: ", mesh.status().message()));
}

absl::StatusOr<TriangleMesh> MeshOfScene(const aiScene& scene, bool root_is_transform) {
  if (scene.mRootNode == nullptr) return absl::InvalidArgumentError("the scene has no nodes");
  const aiMatrix4x4 root = root_is_transform ? scene.mRootNode->mTransformation : aiMatrix4x4();
  Shown shown;
  MF_RETURN_IF_ERROR(AppendNode(scene, *scene.mRootNode, root, 0, &shown));
  return ConcatenateMeshes(shown.meshes);
}

}  // namespace manyform

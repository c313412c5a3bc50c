#include "data/assimp_reader.h"

#include <exception>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "assimp/Importer.hpp"
#include "assimp/config.h"
#include "assimp/postprocess.h"
#include "assimp/scene.h"
#include "base/status_macros.h"
#include "geometry/mesh.h"

namespace manyform {
namespace {

constexpr int kMaxDepth = 1000;

// What a node shows is limited too: meshes shared by nested nodes could multiply beyond any memory.
constexpr int64_t kMaxFaces = int64_t{1} << 28;

absl::StatusOr<TriangleMesh> TransformedMesh(const aiMesh& source, const aiMatrix4x4& to_world) {
  TriangleMesh mesh{PointsD(source.mNumVertices, 3), Faces(source.mNumFaces, 3)};
  for (unsigned v = 0; v < source.mNumVertices; ++v) {
    const aiVector3D& p = source.mVertices[v];
    const auto row = [&](ai_real x, ai_real y, ai_real z, ai_real w) {
      return double{x} * p.x + double{y} * p.y + double{z} * p.z + w;
    };
    const aiMatrix4x4& m = to_world;
    mesh.vertices.row(v) << row(m.a1, m.a2, m.a3, m.a4), row(m.b1, m.b2, m.b3, m.b4),
        row(m.c1, m.c2, m.c3, m.c4);
  }
  Eigen::Index faces = 0;
  for (unsigned f = 0; f < source.mNumFaces; ++f) {
    const aiFace& face = source.mFaces[f];
    // Points and lines have no surface.
    if (face.mNumIndices != 3) continue;
    mesh.faces.row(faces++) << face.mIndices[0], face.mIndices[1], face.mIndices[2];
  }
  mesh.faces.conservativeResize(faces, 3);
  if (!source.HasTextureCoords(0)) return MergeVertices(mesh);
  UvD uv(source.mNumVertices, 2);
  for (unsigned v = 0; v < source.mNumVertices; ++v) {
    uv.row(v) << source.mTextureCoords[0][v].x, source.mTextureCoords[0][v].y;
  }
  return MergeVertices(mesh, &uv);
}

absl::Status AppendNode(const aiScene& scene, const aiNode& node, const aiMatrix4x4& parent, int depth,
                        int64_t* faces, std::vector<TriangleMesh>* meshes) {
  if (depth > kMaxDepth) return absl::InvalidArgumentError("nodes are nested too deeply");
  const aiMatrix4x4 to_world = parent * node.mTransformation;
  for (unsigned i = 0; i < node.mNumMeshes; ++i) {
    const aiMesh& mesh = *scene.mMeshes[node.mMeshes[i]];
    *faces += mesh.mNumFaces;
    if (*faces > kMaxFaces) return absl::InvalidArgumentError("the scene shows too many faces");
    MF_ASSIGN_OR_RETURN(TriangleMesh transformed, TransformedMesh(mesh, to_world));
    meshes->push_back(std::move(transformed));
  }
  for (unsigned i = 0; i < node.mNumChildren; ++i) {
    MF_RETURN_IF_ERROR(AppendNode(scene, *node.mChildren[i], to_world, depth + 1, faces, meshes));
  }
  return absl::OkStatus();
}

absl::StatusOr<TriangleMesh> ReadScene(const std::string& path) {
  Assimp::Importer importer;
  const aiScene* scene = importer.ReadFile(path, aiProcess_Triangulate | aiProcess_ValidateDataStructure);
  if (scene == nullptr || scene->mRootNode == nullptr) {
    return absl::InvalidArgumentError(importer.GetErrorString());
  }
  std::vector<TriangleMesh> meshes;
  int64_t faces = 0;
  MF_RETURN_IF_ERROR(AppendNode(*scene, *scene->mRootNode, aiMatrix4x4(), 0, &faces, &meshes));
  return ConcatenateMeshes(meshes);
}

}  // namespace

bool AssimpReads(const std::string& extension) { return Assimp::Importer().IsExtensionSupported(extension); }

absl::StatusOr<TriangleMesh> ReadWithAssimp(const std::string& path) {
  try {
    absl::StatusOr<TriangleMesh> mesh = ReadScene(path);
    if (mesh.ok()) return mesh;
    return absl::Status(mesh.status().code(), absl::StrCat(path, ": ", mesh.status().message()));
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", e.what()));
  }
}

}  // namespace manyform

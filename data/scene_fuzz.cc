#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "assimp/mesh.h"
#include "assimp/scene.h"
#include "data/assimp_reader.h"
#include "geometry/mesh.h"

namespace {

// Small numbers and raw floats from the front of the bytes; zeros behind their end.
class Source {
 public:
  Source(const uint8_t* data, size_t size) : left_(reinterpret_cast<const char*>(data), size) {}
  uint8_t Byte() { return Take<uint8_t>(); }
  unsigned UpTo(unsigned most) { return Byte() % (most + 1); }
  float Float() { return Take<float>(); }
  // Mostly one of `n`, now and then anything.
  unsigned Index(unsigned n) { return Byte() < 250 && n > 0 ? Byte() % n : Take<uint32_t>(); }

 private:
  template <class T>
  T Take() {
    T value{};
    const size_t size = std::min(sizeof(T), left_.size());
    memcpy(&value, left_.data(), size);
    left_.remove_prefix(size);
    return value;
  }
  std::string_view left_;
};

aiMesh* MakeMesh(Source* source) {
  aiMesh* const mesh = new aiMesh;
  mesh->mNumVertices = source->UpTo(9);
  mesh->mVertices = new aiVector3D[mesh->mNumVertices];
  const bool textured = source->UpTo(1) == 1;
  if (textured) mesh->mTextureCoords[0] = new aiVector3D[mesh->mNumVertices];
  for (unsigned v = 0; v < mesh->mNumVertices; ++v) {
    mesh->mVertices[v] = {source->Float(), source->Float(), source->Float()};
    if (textured) mesh->mTextureCoords[0][v] = {source->Float(), source->Float(), 0};
  }
  mesh->mNumFaces = source->UpTo(9);
  mesh->mFaces = new aiFace[mesh->mNumFaces];
  for (unsigned f = 0; f < mesh->mNumFaces; ++f) {
    aiFace& face = mesh->mFaces[f];
    face.mNumIndices = source->UpTo(6);
    face.mIndices = new unsigned[face.mNumIndices];
    for (unsigned k = 0; k < face.mNumIndices; ++k) face.mIndices[k] = source->Index(mesh->mNumVertices);
  }
  return mesh;
}

aiNode* MakeNode(Source* source, unsigned meshes, int depth) {
  aiNode* const node = new aiNode;
  if (source->UpTo(1) == 1) {
    aiMatrix4x4& m = node->mTransformation;
    for (float* entry : {&m.a1, &m.a4, &m.b2, &m.c3, &m.c4, &m.b1}) *entry = source->Float();
  }
  node->mNumMeshes = source->UpTo(3);
  node->mMeshes = new unsigned[node->mNumMeshes];
  for (unsigned i = 0; i < node->mNumMeshes; ++i) node->mMeshes[i] = source->Index(meshes);
  const unsigned children = depth < 6 ? source->UpTo(2) : 0;
  if (children == 0) return node;
  node->mNumChildren = children;
  node->mChildren = new aiNode*[children];
  for (unsigned i = 0; i < children; ++i) node->mChildren[i] = MakeNode(source, meshes, depth + 1);
  return node;
}

}  // namespace

// What becomes of a scene that a library has read, whatever is in it. The library itself is not instrumented
// and has faults of its own: programs run it in a child process.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Source source(data, size);
  aiScene scene;
  scene.mNumMeshes = source.UpTo(4);
  scene.mMeshes = new aiMesh*[scene.mNumMeshes];
  for (unsigned i = 0; i < scene.mNumMeshes; ++i) scene.mMeshes[i] = MakeMesh(&source);
  const bool root_is_transform = source.UpTo(1) == 1;
  if (source.UpTo(9) > 0) scene.mRootNode = MakeNode(&source, scene.mNumMeshes, 0);
  const auto mesh = manyform::MeshOfScene(scene, root_is_transform);
  if (mesh.ok() && mesh->faces.rows() > 0 && !manyform::ValidateMesh(*mesh).ok()) __builtin_trap();
  return 0;
}

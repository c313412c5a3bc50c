#include "data/mesh_reader.h"

#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/status_macros.h"
#include "data/assimp_reader.h"
#include "data/obj_reader.h"
#include "data/off_reader.h"
#include "data/ply_reader.h"
#include "data/stl_reader.h"

namespace manyform {
namespace {

std::string Extension(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  const size_t dot = name.rfind('.');
  return dot == std::string::npos ? "" : absl::AsciiStrToLower(name.substr(dot));
}

absl::StatusOr<TriangleMesh> ReadByExtension(const std::string& path) {
  const std::string extension = Extension(path);
  // Also where Assimp reads: its message for a missing file does not say so.
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  if (extension == ".obj") return ParseObj(text, path);
  if (extension == ".off") return ParseOff(text, path);
  if (extension == ".ply") return ParsePly(file->bytes(), path);
  if (extension == ".stl") return ParseStl(file->bytes(), path);
  if (!extension.empty() && AssimpReads(extension)) return ReadWithAssimp(path);
  return absl::UnimplementedError(absl::StrCat(path, ": no reader for \"", extension,
                                               "\"; .obj .off .ply .stl .gltf .glb .dae .3ds are known"));
}

}  // namespace

absl::StatusOr<TriangleMesh> ReadMesh(const std::string& path) {
  MF_ASSIGN_OR_RETURN(TriangleMesh mesh, ReadByExtension(path));
  if (mesh.faces.rows() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": no faces with finite vertices"));
  }
  return mesh;
}

}  // namespace manyform

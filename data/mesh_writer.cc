#include "data/mesh_writer.h"

#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "geometry/mesh.h"

namespace manyform {
namespace {

static_assert(std::endian::native == std::endian::little, "values are copied as they lie in memory");

template <class T>
void AppendBytes(const T* values, size_t count, std::string* bytes) {
  bytes->append(reinterpret_cast<const char*>(values), count * sizeof(T));
}

std::string PlyBytes(const TriangleMesh& mesh) {
  std::string bytes =
      absl::StrCat("ply\nformat binary_little_endian 1.0\nelement vertex ", mesh.vertices.rows(),
                   "\nproperty double x\nproperty double y\nproperty double z\nelement face ",
                   mesh.faces.rows(), "\nproperty list uchar int vertex_indices\nend_header\n");
  AppendBytes(mesh.vertices.data(), mesh.vertices.size(), &bytes);
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    bytes.push_back(3);
    AppendBytes(mesh.faces.row(f).data(), 3, &bytes);
  }
  return bytes;
}

std::string ObjText(const TriangleMesh& mesh) {
  std::string text;
  char digits[32];  // the shortest double that reads back has 24 characters at most
  for (Eigen::Index v = 0; v < mesh.vertices.rows(); ++v) {
    text += 'v';
    for (int k = 0; k < 3; ++k) {
      const char* const end = std::to_chars(digits, digits + sizeof(digits), mesh.vertices(v, k)).ptr;
      text += ' ';
      text.append(digits, static_cast<size_t>(end - digits));
    }
    text += '\n';
  }
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    absl::StrAppend(&text, "f ", mesh.faces(f, 0) + 1, " ", mesh.faces(f, 1) + 1, " ", mesh.faces(f, 2) + 1,
                    "\n");
  }
  return text;
}

}  // namespace

absl::Status WriteMesh(const std::string& path, const TriangleMesh& mesh) {
  const bool is_ply = absl::EndsWithIgnoreCase(path, ".ply");
  if (!is_ply && !absl::EndsWithIgnoreCase(path, ".obj")) {
    return absl::UnimplementedError(absl::StrCat(path, ": meshes are written as .ply or .obj"));
  }
  if (const absl::Status valid = ValidateMesh(mesh); !valid.ok()) {
    return absl::Status(valid.code(), absl::StrCat(path, ": ", valid.message()));
  }
  return WriteFileAtomically(path, is_ply ? PlyBytes(mesh) : ObjText(mesh));
}

absl::Status WritePoints(const std::string& path, const PointsFRef& points) {
  if (!absl::EndsWithIgnoreCase(path, ".ply"))
    return absl::UnimplementedError(absl::StrCat(path, ": point clouds are written as .ply"));
  if (!points.allFinite())
    return absl::InvalidArgumentError(absl::StrCat(path, ": a point's coordinate is not finite"));
  std::string bytes = absl::StrCat("ply\nformat binary_little_endian 1.0\nelement vertex ", points.rows(),
                                   "\nproperty float x\nproperty float y\nproperty float z\nend_header\n");
  const PointsF rows = points;  // without gaps between them
  AppendBytes(rows.data(), rows.size(), &bytes);
  return WriteFileAtomically(path, bytes);
}

}  // namespace manyform

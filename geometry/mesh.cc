#include "geometry/mesh.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "Eigen/Geometry"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

// What makes a vertex the same as another: position and texture coordinate as rounded integers.
using VertexKey = std::array<int64_t, 5>;

// Half to even, as NumPy rounds; beyond int64 all coordinates share one value, as there.
int64_t RoundScaled(double value, double scale) {
  const double rounded = std::nearbyint(value * scale);
  constexpr double kLimit = 9.2e18;
  if (!(std::abs(rounded) < kLimit)) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(rounded);
}

absl::Status CheckFaceIndices(const TriangleMesh& mesh) {
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    for (int k = 0; k < 3; ++k) {
      if (const int32_t v = mesh.faces(f, k); v < 0 || v >= mesh.vertices.rows()) {
        return absl::InvalidArgumentError(absl::StrFormat(
            "face %d refers to vertex %d, but the mesh has %d vertices", f, v, mesh.vertices.rows()));
      }
    }
  }
  return absl::OkStatus();
}

Eigen::RowVector3d Corner(const TriangleMesh& mesh, Eigen::Index face, int k) {
  return mesh.vertices.row(mesh.faces(face, k));
}

// Twice the face's area along its normal: edge 0->1 times edge 1->2, each component two products and one
// difference.
Eigen::RowVector3d FaceCross(const TriangleMesh& mesh, Eigen::Index face) {
  const Eigen::RowVector3d b = Corner(mesh, face, 1);
  return (b - Corner(mesh, face, 0)).cross(Corner(mesh, face, 2) - b);
}

double Norm(const Eigen::RowVector3d& v) { return std::sqrt((v[0] * v[0] + v[1] * v[1]) + v[2] * v[2]); }

}  // namespace

absl::Status ValidateMesh(const TriangleMesh& mesh) {
  if (mesh.vertices.rows() == 0) return absl::InvalidArgumentError("the mesh has no vertices");
  if (mesh.faces.rows() == 0) return absl::InvalidArgumentError("the mesh has no faces");
  MF_RETURN_IF_ERROR(CheckFaceIndices(mesh));
  for (Eigen::Index v = 0; v < mesh.vertices.rows(); ++v) {
    if (!mesh.vertices.row(v).allFinite()) {
      return absl::InvalidArgumentError(absl::StrFormat("vertex %d is not finite: (%g, %g, %g)", v,
                                                        mesh.vertices(v, 0), mesh.vertices(v, 1),
                                                        mesh.vertices(v, 2)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<TriangleMesh> MergeVertices(const TriangleMesh& mesh, const UvD* uv) {
  MF_RETURN_IF_ERROR(CheckFaceIndices(mesh));
  const Eigen::Index n = mesh.vertices.rows();
  if (uv != nullptr && uv->rows() != n) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%d texture coordinates for %d vertices", uv->rows(), n));
  }
  std::vector<int32_t> kept_faces;
  std::vector<bool> used(n, false);
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    bool finite = true;
    for (int k = 0; k < 3; ++k) finite &= Corner(mesh, f, k).allFinite();
    if (!finite) continue;
    kept_faces.push_back(static_cast<int32_t>(f));
    for (int k = 0; k < 3; ++k) used[mesh.faces(f, k)] = true;
  }

  absl::flat_hash_map<VertexKey, int32_t> seen;
  std::vector<int32_t> representative, new_index(n, -1);
  for (Eigen::Index v = 0; v < n; ++v) {
    if (!used[v]) continue;
    VertexKey key{};
    for (int k = 0; k < 3; ++k) key[k] = RoundScaled(mesh.vertices(v, k), 1e8);
    if (uv != nullptr) {
      for (int k = 0; k < 2; ++k) key[3 + k] = RoundScaled((*uv)(v, k), 1e4);
    }
    const auto [it, is_new] = seen.try_emplace(key, static_cast<int32_t>(representative.size()));
    if (is_new) representative.push_back(static_cast<int32_t>(v));
    new_index[v] = it->second;
  }

  TriangleMesh merged{PointsD(representative.size(), 3), Faces(kept_faces.size(), 3)};
  for (size_t i = 0; i < representative.size(); ++i)
    merged.vertices.row(i) = mesh.vertices.row(representative[i]);
  for (size_t i = 0; i < kept_faces.size(); ++i) {
    for (int k = 0; k < 3; ++k) merged.faces(i, k) = new_index[mesh.faces(kept_faces[i], k)];
  }
  return merged;
}

TriangleMesh ConcatenateMeshes(const std::vector<TriangleMesh>& meshes) {
  Eigen::Index vertices = 0, faces = 0;
  for (const TriangleMesh& m : meshes) vertices += m.vertices.rows(), faces += m.faces.rows();
  TriangleMesh all{PointsD(vertices, 3), Faces(faces, 3)};
  vertices = faces = 0;
  for (const TriangleMesh& m : meshes) {
    all.vertices.middleRows(vertices, m.vertices.rows()) = m.vertices;
    all.faces.middleRows(faces, m.faces.rows()) = m.faces.array() + static_cast<int32_t>(vertices);
    vertices += m.vertices.rows();
    faces += m.faces.rows();
  }
  return all;
}

Eigen::Matrix<double, 2, 3, Eigen::RowMajor> Bounds(const PointsD& points) {
  Eigen::Matrix<double, 2, 3, Eigen::RowMajor> bounds;
  bounds.row(0) = points.colwise().minCoeff();
  bounds.row(1) = points.colwise().maxCoeff();
  return bounds;
}

absl::Status NormalizeMesh(TriangleMesh* mesh) {
  MF_RETURN_IF_ERROR(ValidateMesh(*mesh));
  const auto bounds = Bounds(mesh->vertices);
  const Eigen::RowVector3d centre = (bounds.row(0) + bounds.row(1)) * 0.5;
  double scale = 0;
  for (Eigen::Index v = 0; v < mesh->vertices.rows(); ++v) {
    mesh->vertices.row(v) -= centre;
    scale = std::max(scale, Norm(mesh->vertices.row(v)));
  }
  if (!std::isfinite(scale)) return absl::InvalidArgumentError("the mesh is too large for double precision");
  if (scale < 1e-9) scale = 1;
  mesh->vertices.array() /= scale;
  return absl::OkStatus();
}

PointsD FaceNormals(const TriangleMesh& mesh) {
  // Shorter cross products have no direction; the published loader leaves their normals zero.
  constexpr double kNoDirection = 1e-13;
  PointsD normals(mesh.faces.rows(), 3);
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    const Eigen::RowVector3d cross = FaceCross(mesh, f);
    const double norm = Norm(cross);
    if (norm > kNoDirection) {
      normals.row(f) = cross * (1.0 / norm);
    } else {
      normals.row(f).setZero();
    }
  }
  return normals;
}

std::vector<double> FaceAreas(const TriangleMesh& mesh) {
  std::vector<double> areas(mesh.faces.rows());
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) areas[f] = Norm(FaceCross(mesh, f)) / 2.0;
  return areas;
}

std::vector<double> FaceAreaCumsum(const TriangleMesh& mesh) {
  std::vector<double> sum = FaceAreas(mesh);
  for (size_t f = 1; f < sum.size(); ++f) sum[f] += sum[f - 1];
  return sum;
}

double TotalArea(const TriangleMesh& mesh) {
  const std::vector<double> sum = FaceAreaCumsum(mesh);
  return sum.empty() ? 0 : sum.back();
}

bool IsWatertight(const TriangleMesh& mesh) {
  std::vector<std::pair<int32_t, int32_t>> edges;
  edges.reserve(mesh.faces.rows() * 3);
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    for (int k = 0; k < 3; ++k)
      edges.push_back(std::minmax(int{mesh.faces(f, k)}, int{mesh.faces(f, (k + 1) % 3)}));
  }
  std::sort(edges.begin(), edges.end());
  for (size_t i = 0; i < edges.size(); i += 2) {
    if (i + 1 == edges.size() || edges[i] != edges[i + 1]) return false;
    if (i + 2 < edges.size() && edges[i + 2] == edges[i]) return false;
  }
  return !edges.empty();
}

double Volume(const TriangleMesh& mesh) {
  double six_volumes = 0;
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    six_volumes += Corner(mesh, f, 0).dot(Corner(mesh, f, 1).cross(Corner(mesh, f, 2)));
  }
  return six_volumes / 6;
}

}  // namespace manyform

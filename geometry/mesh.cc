#include "geometry/mesh.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
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

struct VertexKeyHash {
  size_t operator()(const VertexKey& key) const {
    uint64_t hash = 0;
    for (const int64_t part : key) {
      hash = (hash ^ static_cast<uint64_t>(part)) * 0x9e3779b97f4a7c15;
      hash ^= hash >> 29;
    }
    return hash;
  }
};

absl::Status CheckFaceIndices(const TriangleMesh& mesh) {
  int32_t low = 0, high = -1;
  for (Eigen::Index i = 0; i < mesh.faces.size(); ++i) {
    low = std::min(low, mesh.faces.data()[i]);
    high = std::max(high, mesh.faces.data()[i]);
  }
  if (low >= 0 && high < mesh.vertices.rows()) return absl::OkStatus();
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

// By their bits, which whole vectors of them compare.
bool AllFinite(const PointsD& points) {
  constexpr uint64_t kExponent = 0x7ff0000000000000;
  bool finite = true;
  for (Eigen::Index i = 0; i < points.size(); ++i) {
    finite &= (std::bit_cast<uint64_t>(points.data()[i]) & kExponent) != kExponent;
  }
  return finite;
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
  if (AllFinite(mesh.vertices)) return absl::OkStatus();
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
  const bool all_finite = AllFinite(mesh.vertices);
  std::vector<int32_t> kept_faces;
  kept_faces.reserve(mesh.faces.rows());
  std::vector<uint8_t> used(n, 0);
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    bool finite = true;
    for (int k = 0; k < 3 && !all_finite; ++k) finite &= Corner(mesh, f, k).allFinite();
    if (!finite) continue;
    kept_faces.push_back(static_cast<int32_t>(f));
    for (int k = 0; k < 3; ++k) used[mesh.faces(f, k)] = 1;
  }

  absl::flat_hash_map<VertexKey, int32_t, VertexKeyHash> seen;
  seen.reserve(n);
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
  bounds.row(0) = bounds.row(1) = points.row(0);
  for (Eigen::Index v = 1; v < points.rows(); ++v) {
    for (int k = 0; k < 3; ++k) {
      bounds(0, k) = std::min(bounds(0, k), points(v, k));
      bounds(1, k) = std::max(bounds(1, k), points(v, k));
    }
  }
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

Eigen::RowVector3d FaceNormal(const TriangleMesh& mesh, Eigen::Index face) {
  // Shorter cross products have no direction; the published loader leaves their normals zero.
  constexpr double kNoDirection = 1e-13;
  const Eigen::RowVector3d cross = FaceCross(mesh, face);
  const double norm = Norm(cross);
  return norm > kNoDirection ? Eigen::RowVector3d(cross * (1.0 / norm)) : Eigen::RowVector3d::Zero();
}

PointsD FaceNormals(const TriangleMesh& mesh) {
  PointsD normals(mesh.faces.rows(), 3);
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) normals.row(f) = FaceNormal(mesh, f);
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
  if (mesh.faces.rows() == 0) return false;
  const auto edge = [&](Eigen::Index f, int k) {
    const int32_t a = mesh.faces(f, k), b = mesh.faces(f, (k + 1) % 3);
    return std::pair<int32_t, int32_t>(std::min(a, b), std::max(a, b));
  };
  // Edges by their smaller vertex: `larger` holds the other one, that of vertex v from first[v] on.
  std::vector<int64_t> first(mesh.vertices.rows() + 1);
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    for (int k = 0; k < 3; ++k) ++first[edge(f, k).first + 1];
  }
  for (size_t v = 1; v < first.size(); ++v) {
    if (first[v] % 2 != 0) return false;
    first[v] += first[v - 1];
  }
  std::vector<int32_t> larger(mesh.faces.rows() * 3);
  std::vector<int64_t> next(first.begin(), first.end() - 1);
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    for (int k = 0; k < 3; ++k) {
      const auto [a, b] = edge(f, k);
      larger[next[a]++] = b;
    }
  }
  for (size_t v = 0; v + 1 < first.size(); ++v) {
    std::sort(larger.begin() + first[v], larger.begin() + first[v + 1]);
    for (int64_t i = first[v]; i < first[v + 1]; i += 2) {
      if (larger[i] != larger[i + 1]) return false;
      if (i + 2 < first[v + 1] && larger[i + 2] == larger[i]) return false;
    }
  }
  return true;
}

int64_t CountComponents(const TriangleMesh& mesh) {
  std::vector<int32_t> parent(mesh.vertices.rows());
  std::iota(parent.begin(), parent.end(), 0);
  const auto root = [&](int32_t v) {
    while (parent[v] != v) v = parent[v] = parent[parent[v]];
    return v;
  };
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    const int32_t a = root(mesh.faces(f, 0));
    parent[root(mesh.faces(f, 1))] = a;
    parent[root(mesh.faces(f, 2))] = a;
  }
  // Vertices that no face uses are roots too.
  std::vector<bool> counted(parent.size());
  int64_t components = 0;
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    const int32_t a = root(mesh.faces(f, 0));
    components += counted[a] ? 0 : 1;
    counted[a] = true;
  }
  return components;
}

double Volume(const TriangleMesh& mesh) {
  if (mesh.faces.rows() == 0) return 0;
  // Far from the origin the terms would be large and cancel.
  const auto bounds = Bounds(mesh.vertices);
  const Eigen::RowVector3d centre = (bounds.row(0) + bounds.row(1)) * 0.5;
  double six_volumes = 0;
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    const Eigen::RowVector3d a = Corner(mesh, f, 0) - centre;
    six_volumes += a.dot((Corner(mesh, f, 1) - centre).cross(Corner(mesh, f, 2) - centre));
  }
  return six_volumes / 6;
}

}  // namespace manyform

#include "geometry/testing/shapes.h"

#include <cmath>
#include <numbers>
#include <vector>

#include "Eigen/Geometry"

namespace manyform {
namespace {

TriangleMesh FromLists(const std::vector<Eigen::RowVector3d>& vertices,
                       const std::vector<Eigen::RowVector3i>& faces) {
  TriangleMesh mesh{PointsD(vertices.size(), 3), Faces(faces.size(), 3)};
  for (size_t i = 0; i < vertices.size(); ++i) mesh.vertices.row(i) = vertices[i];
  for (size_t i = 0; i < faces.size(); ++i) mesh.faces.row(i) = faces[i];
  return mesh;
}

}  // namespace

TriangleMesh BoxMesh(double half_x, double half_y, double half_z) {
  std::vector<Eigen::RowVector3d> vertices;
  vertices.reserve(8);
  for (int i = 0; i < 8; ++i) {
    vertices.push_back({i & 4 ? half_x : -half_x, i & 2 ? half_y : -half_y, i & 1 ? half_z : -half_z});
  }
  return FromLists(vertices, {{0, 1, 3},
                              {0, 3, 2},
                              {4, 6, 7},
                              {4, 7, 5},
                              {0, 4, 5},
                              {0, 5, 1},
                              {2, 3, 7},
                              {2, 7, 6},
                              {0, 2, 6},
                              {0, 6, 4},
                              {1, 5, 7},
                              {1, 7, 3}});
}

TriangleMesh SphereMesh(double radius, int rings, int segments) {
  std::vector<Eigen::RowVector3d> vertices = {{0, 0, radius}};
  for (int r = 1; r < rings; ++r) {
    const double polar = std::numbers::pi * r / rings;
    for (int s = 0; s < segments; ++s) {
      const double azimuth = 2 * std::numbers::pi * s / segments;
      vertices.push_back({radius * std::sin(polar) * std::cos(azimuth),
                          radius * std::sin(polar) * std::sin(azimuth), radius * std::cos(polar)});
    }
  }
  const int south = static_cast<int>(vertices.size());
  vertices.push_back({0, 0, -radius});
  const auto at = [&](int r, int s) { return 1 + (r - 1) * segments + s % segments; };
  std::vector<Eigen::RowVector3i> faces;
  for (int s = 0; s < segments; ++s) {
    faces.push_back({0, at(1, s), at(1, s + 1)});
    for (int r = 1; r + 1 < rings; ++r) {
      faces.push_back({at(r, s), at(r + 1, s), at(r + 1, s + 1)});
      faces.push_back({at(r, s), at(r + 1, s + 1), at(r, s + 1)});
    }
    faces.push_back({at(rings - 1, s), south, at(rings - 1, s + 1)});
  }
  return FromLists(vertices, faces);
}

TriangleMesh TorusMesh(double major, double minor, int major_segments, int minor_segments) {
  std::vector<Eigen::RowVector3d> vertices;
  std::vector<Eigen::RowVector3i> faces;
  const auto at = [&](int i, int j) { return i % major_segments * minor_segments + j % minor_segments; };
  for (int i = 0; i < major_segments; ++i) {
    for (int j = 0; j < minor_segments; ++j) {
      const double u = 2 * std::numbers::pi * i / major_segments,
                   v = 2 * std::numbers::pi * j / minor_segments;
      const double r = major + minor * std::cos(v);
      vertices.push_back({r * std::cos(u), r * std::sin(u), minor * std::sin(v)});
      faces.push_back({at(i, j), at(i + 1, j), at(i + 1, j + 1)});
      faces.push_back({at(i, j), at(i + 1, j + 1), at(i, j + 1)});
    }
  }
  return FromLists(vertices, faces);
}

TriangleMesh RandomTriangles(int n, double size, NumpyRandomState& random) {
  TriangleMesh mesh{PointsD(3 * n, 3), Faces(n, 3)};
  for (int i = 0; i < n; ++i) {
    for (int c = 0; c < 3; ++c) {
      for (int k = 0; k < 3; ++k) {
        const double x = random.Uniform(-1, 1);
        mesh.vertices(3 * i + c, k) =
            c == 0 ? x : mesh.vertices(3 * i, k) + size * (x - mesh.vertices(3 * i, k));
      }
    }
    mesh.faces.row(i) << 3 * i, 3 * i + 1, 3 * i + 2;
  }
  return mesh;
}

PointsF RandomPoints(int64_t n, double extent, NumpyRandomState& random) {
  PointsF points(n, 3);
  for (int64_t i = 0; i < n; ++i) {
    for (int k = 0; k < 3; ++k) points(i, k) = static_cast<float>(random.Uniform(-extent, extent));
  }
  return points;
}

PointsF RandomDirections(int64_t n, NumpyRandomState& random) {
  PointsF directions(n, 3);
  for (int64_t i = 0; i < n; ++i) {
    Eigen::RowVector3d d(random.Normal(), random.Normal(), random.Normal());
    directions.row(i) = d.normalized().cast<float>();
  }
  return directions;
}

}  // namespace manyform

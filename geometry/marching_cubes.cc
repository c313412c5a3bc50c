#include "geometry/marching_cubes.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"

namespace manyform {
namespace {

// Corner c of a cell is at (c>>2 & 1, c>>1 & 1, c & 1). An edge is a pair of corners: its lower one and an
// axis (0 x, 1 y, 2 z).
constexpr int kAxisBit[3] = {4, 2, 1};
constexpr int EdgeId(int corner, int axis) { return axis * 8 + corner; }
constexpr int kEdgeIds = 24;  // twelve of them are used

int EdgeBetween(int a, int b) {
  const int bit = a ^ b;
  return EdgeId(a & b, bit == 4 ? 0 : bit == 2 ? 1 : 2);
}

// Corners counter-clockwise seen from outside the cell.
constexpr int kFaces[6][4] = {{0, 1, 3, 2}, {4, 6, 7, 5}, {0, 4, 5, 1},
                              {2, 3, 7, 6}, {0, 2, 6, 4}, {1, 5, 7, 3}};

// Three edges a triangle.
using CellTriangles = std::vector<std::array<int8_t, 3>>;

// The cell's surface crosses its faces in directed segments. Around a face, every run of inside corners is
// cut off on its own; the rule looks at nothing but the face, so that the neighbour cuts it alike.
std::array<int, kEdgeIds> CutFaces(int inside) {
  std::array<int, kEdgeIds> next;
  next.fill(-1);
  for (const auto& face : kFaces) {
    for (int start = 0; start < 4; ++start) {
      const int before = face[(start + 3) % 4], first = face[start];
      if (!(inside >> first & 1) || (inside >> before & 1)) continue;
      int last = start;
      while (inside >> face[(last + 1) % 4] & 1) last = (last + 1) % 4;
      next[EdgeBetween(before, first)] = EdgeBetween(face[last], face[(last + 1) % 4]);
    }
  }
  return next;
}

bool ShareAFace(int edge_a, int edge_b) {
  for (const auto& face : kFaces) {
    bool a = false, b = false;
    for (int k = 0; k < 4; ++k) {
      const int edge = EdgeBetween(face[k], face[(k + 1) % 4]);
      a |= edge == edge_a;
      b |= edge == edge_b;
    }
    if (a && b) return true;
  }
  return false;
}

// Triangulates loop[first..last], a chord of the loop. Chords within a face of the cell are avoided: the
// neighbour may have the same one, and four triangles would meet in it. False if that is not possible, which
// no loop of the 256 patterns is a case of.
bool Triangulate(const std::vector<int>& loop, int first, int last, CellTriangles* triangles) {
  if (last - first < 2) return true;
  for (int middle = first + 1; middle < last; ++middle) {
    if (middle - first > 1 && ShareAFace(loop[first], loop[middle])) continue;
    if (last - middle > 1 && ShareAFace(loop[middle], loop[last])) continue;
    const size_t size = triangles->size();
    if (Triangulate(loop, first, middle, triangles) && Triangulate(loop, middle, last, triangles)) {
      triangles->push_back({static_cast<int8_t>(loop[first]), static_cast<int8_t>(loop[middle]),
                            static_cast<int8_t>(loop[last])});
      return true;
    }
    triangles->resize(size);
  }
  return false;
}

// All 256 patterns of inside corners; bit c is corner c.
std::array<CellTriangles, 256> MakeTable() {
  std::array<CellTriangles, 256> table;
  for (int inside = 0; inside < 256; ++inside) {
    std::array<int, kEdgeIds> next = CutFaces(inside);
    for (int start = 0; start < kEdgeIds; ++start) {
      std::vector<int> loop;
      for (int edge = start; next[edge] >= 0;) {
        loop.push_back(edge);
        edge = std::exchange(next[edge], -1);
      }
      if (!loop.empty()) Triangulate(loop, 0, static_cast<int>(loop.size()) - 1, &table[inside]);
    }
  }
  return table;
}

// Walks the cells plane by plane in x and remembers the vertices of two planes of grid points.
class Extractor {
 public:
  Extractor(std::span<const float> grid, int g, const IsosurfaceOptions& options)
      : grid_(grid), g_(g), options_(options), table_(Table()) {
    for (std::vector<int32_t>& plane : vertex_of_) plane.resize(size_t{3} * g * g, -1);
  }

  TriangleMesh Run() {
    for (int x = 0; x + 1 < g_; ++x) {
      for (int y = 0; y + 1 < g_; ++y) {
        for (int z = 0; z + 1 < g_; ++z) VisitCell(x, y, z);
      }
      std::fill(vertex_of_[x & 1].begin(), vertex_of_[x & 1].end(), -1);
    }
    return {Eigen::Map<const PointsD>(vertices_.data(), vertices_.size() / 3, 3),
            Eigen::Map<const Faces>(faces_.data(), faces_.size() / 3, 3)};
  }

 private:
  static const std::array<CellTriangles, 256>& Table() {
    static const std::array<CellTriangles, 256>& table = *new std::array<CellTriangles, 256>(MakeTable());
    return table;
  }
  float Value(int x, int y, int z) const { return grid_[(static_cast<size_t>(x) * g_ + y) * g_ + z]; }

  void VisitCell(int x, int y, int z) {
    int inside = 0;
    for (int c = 0; c < 8; ++c) {
      inside |= (Value(x + (c >> 2), y + (c >> 1 & 1), z + (c & 1)) < options_.level) << c;
    }
    for (const auto& triangle : table_[inside]) {
      for (const int edge : triangle) faces_.push_back(VertexOn(edge, x, y, z));
    }
  }

  int32_t VertexOn(int edge, int x, int y, int z) {
    const int corner = edge % 8, axis = edge / 8;
    const int at[3] = {x + (corner >> 2), y + (corner >> 1 & 1), z + (corner & 1)};
    int32_t& vertex = vertex_of_[at[0] & 1][(static_cast<size_t>(at[1]) * g_ + at[2]) * 3 + axis];
    if (vertex >= 0) return vertex;
    vertex = static_cast<int32_t>(vertices_.size() / 3);
    const double from = Value(at[0], at[1], at[2]);
    const double to = Value(at[0] + (axis == 0), at[1] + (axis == 1), at[2] + (axis == 2));
    const double along = (options_.level - from) / (to - from);
    for (int k = 0; k < 3; ++k) {
      vertices_.push_back(options_.origin + options_.spacing * (at[k] + (k == axis ? along : 0)));
    }
    return vertex;
  }

  std::span<const float> grid_;
  const int g_;
  const IsosurfaceOptions options_;
  const std::array<CellTriangles, 256>& table_;
  // [x parity][(y g + z) 3 + axis] of the edge that starts at the grid point; -1 for none yet.
  std::array<std::vector<int32_t>, 2> vertex_of_;
  std::vector<double> vertices_;
  std::vector<int32_t> faces_;
};

}  // namespace

IsosurfaceOptions CellCentreIsosurface(int g, float level) { return {level, -1 + 1.0 / g, 2.0 / g}; }

IsosurfaceOptions CornerIsosurface(int g, float level) { return {level, -1, g > 1 ? 2.0 / (g - 1) : 1}; }

absl::StatusOr<TriangleMesh> ExtractIsosurface(std::span<const float> grid, int g,
                                               const IsosurfaceOptions& options) {
  if (g < 2 || g > 1024 || grid.size() != static_cast<size_t>(g) * g * g) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "an isosurface needs a cubic grid of side 2 to 1024; side %d has %d values", g, grid.size()));
  }
  for (size_t i = 0; i < grid.size(); ++i) {
    if (!std::isfinite(grid[i])) {
      return absl::InvalidArgumentError(absl::StrFormat("grid value %d is not finite", i));
    }
  }
  return Extractor(grid, g, options).Run();
}

}  // namespace manyform

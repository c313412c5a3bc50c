/// \file
/// What a trilinear isosurface looks like within one cell of a grid: every pattern of inside corners, every
/// resolution of its ambiguous faces, with and without a tunnel (the cases of Chernyaev, "Marching Cubes 33",
/// CERN CN/95-17, and Lewiner et al. 2003, here derived rather than listed).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace manyform {

/// Corner c of a cell is at (c>>2 & 1, c>>1 & 1, c & 1). An edge is its lower corner and its axis (0 x, 1 y,
/// 2 z); twelve of the ids are edges.
constexpr int CellEdge(int corner, int axis) { return axis * 8 + corner; }
inline constexpr int kCellEdgeIds = 24;

/// The triangles of one cell. Vertices below kCellEdgeIds lie on that edge; kCellEdgeIds + i is
/// `interior[i]`, which this cell has to itself.
struct CellSurface {
  std::vector<int8_t> triangles;  ///< three vertices each, counter-clockwise seen from outside
  /// Each is the mean of the vertices on these edges; an edge may be repeated.
  std::vector<std::vector<int8_t>> interior;
};

/// The surfaces of all cases. On a face a surface has the segments that the asymptotic decider (Nielson &
/// Hamann 1991) finds, and no other edges: cells that share a face agree on it, and no edge of a closed
/// surface has more or fewer than two faces.
class CellCases {
 public:
  /// Made at the first call (some milliseconds); safe from many threads.
  static const CellCases& Get();

  /// The surface, if it depends on nothing but which corners are inside (bit c for corner c); else nullptr.
  const CellSurface* Plain(int inside) const { return plain_[inside]; }
  /// The surface of any pattern: `value` at each corner minus the level, `inside` where it is <= 0.
  /// Topologically that of the trilinear interpolant, up to rounding where two answers are equally near.
  const CellSurface& Surface(int inside, std::span<const double, 8> value) const;

 private:
  CellCases();
  // The surface if two opposite edges along x, of one diagonal of the cell, are joined within the cell by
  // what is inside (or outside), though nothing joins them on its boundary.
  struct Tunnel {
    int8_t diagonal;
    bool inside;
    CellSurface surface;
  };
  struct Resolution {
    CellSurface surface;  // without tunnel
    std::vector<Tunnel> tunnels;
  };
  struct Case {
    std::vector<int8_t> ambiguous_faces;
    std::vector<Resolution> resolutions;  // bit i: the inside corners of ambiguous_faces[i] are joined
  };
  static Resolution Resolve(int inside, int joined_faces);
  std::array<Case, 256> cases_;
  std::array<const CellSurface*, 256> plain_;
};

}  // namespace manyform

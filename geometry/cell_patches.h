/// \file
/// Triangulations of the loops in which an isosurface meets the faces of a cell.
#pragma once

#include <vector>

#include "geometry/marching_cubes_cases.h"

namespace manyform {

/// Edges of the cell in the order the surface's border passes them, the surface to its left seen from
/// outside.
using CellLoop = std::vector<int8_t>;

/// Whether two edges lie in one face of the cell.
bool ShareAFace(int edge_a, int edge_b);

/// Appends a disk bounded by the loop: the triangulation of the shortest chords, none of them in a face of
/// the cell (the neighbour may have the same chord, and four triangles would meet in it). Where there is no
/// such triangulation, a fan about an interior vertex. \pre 3 to 12 edges, none twice
void AppendDisk(const CellLoop& loop, CellSurface* surface);

/// Appends a tube bounded by both loops, again without an edge in a face, if need be by a ring of interior
/// vertices halfway. \pre as AppendDisk; no edge in common
void AppendTube(const CellLoop& a, const CellLoop& b, CellSurface* surface);

}  // namespace manyform

/// \file
/// Cubic grids over [-1,1]^3: occupancy, dilation, distance transform, sampling. A grid of side `g` is a
/// C-order array [ix][iy][iz] of g^3 cells, the cell (0,0,0) at the corner (-1,-1,-1); a value belongs to its
/// cell's centre. Arithmetic is in single precision where the published system's is.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "geometry/types.h"

namespace manyform {

/// Sides accepted everywhere below: 1 <= g <= 512.
inline constexpr int kMaxGridSide = 512;

/// float32(2 / g), the cell size that all single-precision grid arithmetic uses.
inline float VoxelSize(int g) { return static_cast<float>(2.0 / g); }
/// floor((x + 1) / voxel) in single precision, clamped to [0, g-1]; NaN goes to 0.
int CellIndex(float x, int g);
/// Flat index of the cell each point falls in (points outside go to the nearest boundary cell).
std::vector<int32_t> CellIndices(const PointsFRef& points, int g);
/// 1 where a point falls, else 0.
std::vector<uint8_t> Occupancy(const PointsFRef& points, int g);
/// `rounds` of binary dilation by the 6-connected cross; nothing enters from outside. rounds <= 0 does
/// nothing. \pre occupancy.size() == g^3
void Dilate(std::vector<uint8_t>* occupancy, int g, int rounds);

/// Exact squared Euclidean distance in cells from each cell's centre to that of the nearest occupied one; -1
/// everywhere when none is (Maurer et al. 2003, Felzenszwalb & Huttenlocher 2012: one pass an axis,
/// integers).
std::vector<int32_t> SquaredDistanceTransform(std::span<const uint8_t> occupancy, int g);
/// World units, 0 at occupied cells. When none is occupied, the distance to the cell (-1,0,0), as SciPy's
/// transform and thus the published system has it.
std::vector<float> UnsignedDistanceGrid(std::span<const uint8_t> occupancy, int g);
/// The same in cells, as the voxel backend keeps it (it multiplies by VoxelSize afterwards).
std::vector<float> DistanceGridInCells(std::span<const uint8_t> occupancy, int g);

/// How a coordinate becomes a grid position: the cache divides by the cell size, the evaluation utility
/// multiplies by g/2. They differ in the last bits unless g is a power of two.
enum class GridPosition { kDivideByVoxel, kTimesHalfSide };
/// Trilinear samples at `points`; outside the outermost centres the border cells are used at both ends.
/// \pre grid.size() == g^3
std::vector<float> SampleTrilinear(std::span<const float> grid, int g, const PointsFRef& points,
                                   GridPosition position = GridPosition::kDivideByVoxel);

/// (g^3,3) cell centres in C order.
PointsF GridCentres(int g);

}  // namespace manyform

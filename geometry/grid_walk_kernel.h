/// \file
/// The inner loop of WalkGrid, compiled for each set of instructions: rays in the lanes of
/// a vector, sixteen on their way at once. The arithmetic is the published one, operation by operation.
#pragma once

#include <cstdint>

namespace manyform {

/// A grid with a layer of cells around it at which a walk stops, one bit a cell: bit i of the grid is bit i %
/// 32 of word i / 32. Cell (x, y, z) is number ((x + 1) (g + 1) + y) (g + 1) + z; what lies between rows and
/// planes belongs to the layer.
struct WalkGridBits {
  const uint32_t* stop;
  int g;
  float voxel;           ///< float32(2 / g)
  double voxel_exactly;  ///< 2 / g
  int max_steps;
  bool first_in_double;
  /// Where anything is occupied, larger by more than roundings.
  float low[3], high[3];
};

/// Of the walk of each ray the number of the cell where it stopped, and the depth it entered it at; -1 where
/// it ended before. Origins and directions are x y z.
using WalkRays = void(const WalkGridBits& grid, const float* origins, const float* directions, int64_t rays,
                      int32_t* cells, float* t);
WalkRays WalkRaysPortable;
WalkRays WalkRaysAvx2;
WalkRays WalkRaysAvx512;

}  // namespace manyform

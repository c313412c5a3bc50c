/// \file
/// The inner loops of the exact distance transform of small grids, compiled for each set of
/// instructions.
#pragma once

#include <cstdint>

namespace manyform {

/// The largest side whose squared distances, and sums on the way to them, fit 16 bits.
inline constexpr int kMaxShortSide = 128;
/// What is added to a squared distance, so that signed 16 bits hold it.
inline constexpr int kShortZero = -32768;

/// Writes kShortZero plus each cell's squared distance in cells to the nearest occupied one, C order as the
/// occupancy. \pre 1 <= g <= kMaxShortSide, at least one cell is occupied
using ShortDistances = void(const uint8_t* occupancy, int g, int16_t* distances);
ShortDistances ShortDistancesPortable;
ShortDistances ShortDistancesAvx2;
ShortDistances ShortDistancesAvx512;

}  // namespace manyform

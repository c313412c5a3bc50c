/// \file
/// The Morton curve (Z-order) through the cube [-1,1]^3.
#pragma once

#include <cstdint>
#include <vector>

#include "geometry/types.h"

namespace manyform {

/// 30-bit Morton code of floor((x/2 + 1/2) * 1023) clamped, x in the lowest bit. NaN counts as -1.
uint32_t MortonCode(const float* point);
std::vector<uint32_t> MortonCodes(const PointsFRef& points);
/// Indices by ascending code, equal codes by index.
std::vector<int32_t> MortonOrder(const PointsFRef& points);

}  // namespace manyform

/// \file
/// The orders in which a sequence reads its points and rays.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "geometry/morton.h"  // IWYU pragma: export
#include "geometry/types.h"

namespace manyform {

/// Indices by azimuth atan2(dy, dx), then by polar angle acos(dz), both of the normalised direction in single
/// precision; equal ones by index.
std::vector<int32_t> RayOrder(const PointsFRef& directions);

/// MortonOrder and RayOrder of many small sets: the memory they need is kept from call to call, and so is the
/// answer, until the next one.
class TokenOrder {
 public:
  std::span<const int32_t> Morton(const PointsFRef& points);
  std::span<const int32_t> Rays(const PointsFRef& directions);

 private:
  // Sorts keys_ by their upper halves, stably, and takes the lower halves as the order.
  void SortKeys();
  std::vector<uint64_t> keys_, sorted_;
  std::vector<int32_t> order_;
};

}  // namespace manyform

/// \file
/// Choices of points from a pool: farthest first, or nearest to a lattice.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "geometry/morton.h"  // IWYU pragma: export
#include "geometry/types.h"

namespace manyform {

/// The point farthest from the centroid, by single-precision arithmetic; the first of equals. \pre
/// points.rows() > 0
int64_t FarthestFromCentroid(const PointsFRef& points);
/// Farthest point order: FarthestFromCentroid, then always the point farthest from those before it, the first
/// of equals (Eldar et al. 1997), single precision throughout. min(k, N) indices, distinct until every point
/// coincides with a chosen one; from then on 0.
std::vector<int32_t> FarthestPointOrder(const PointsFRef& points, int64_t k);

/// Nearest point to each of the first k nodes (row-major) of a ceil(k^(1/3))^3 lattice over [-1,1]^3; points
/// can repeat. \error InvalidArgument without points, or if a coordinate is not finite.
absl::StatusOr<std::vector<int32_t>> LatticePick(const PointsFRef& points, int64_t k);

}  // namespace manyform

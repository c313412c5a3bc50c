/// \file
/// Area-weighted random points on a surface, as the published system draws them.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "base/numpy_random.h"
#include "geometry/types.h"

namespace manyform {

struct SurfaceSamples {
  PointsD points;
  std::vector<int32_t> faces;  ///< the face each point lies on
};

/// Draws n doubles that pick faces by area, then 2n doubles (pairs) that place the points; arithmetic in
/// double. \error InvalidArgument for n < 0, an invalid mesh (see ValidateMesh), or one whose area is zero or
/// not finite.
absl::StatusOr<SurfaceSamples> SampleSurface(const TriangleMesh& mesh, int64_t n, NumpyRandomState& random);

}  // namespace manyform

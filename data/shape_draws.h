/// \file
/// The random points of one cached shape, in the published order of draws.
#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "base/numpy_random.h"
#include "geometry/sampling.h"
#include "geometry/types.h"
#include "proto/cache.pb.h"

namespace manyform {

/// Surface samples with the normals of their faces.
struct PointCloud {
  PointsF xyz, normals;
};
/// \pre `surface` samples `mesh`. \error as SurfaceSampler::Sample.
absl::StatusOr<PointCloud> SamplePointCloud(const SurfaceSampler& surface, const TriangleMesh& mesh,
                                            int64_t n, NumpyRandomState& random);

/// config.pt_pool points: uniform ones in the cube first, then points of the cloud with normal jitter (the
/// sum is in single precision), clamped to the cube. \pre cloud has points
absl::StatusOr<PointsF> DrawPointPool(const PointsF& cloud, const BuildCacheConfig& config,
                                      NumpyRandomState& random);

}  // namespace manyform

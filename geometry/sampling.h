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

/// Draws from one mesh as often as wanted.
class SurfaceSampler {
 public:
  /// Keeps a reference to `mesh`. \error InvalidArgument for an invalid mesh (see ValidateMesh), or one whose
  /// area is zero or not finite.
  static absl::StatusOr<SurfaceSampler> Create(const TriangleMesh& mesh);
  /// Draws n doubles that pick faces by area, then 2n doubles (pairs) that place the points; arithmetic in
  /// double. \error InvalidArgument for n < 0.
  absl::StatusOr<SurfaceSamples> Sample(int64_t n, NumpyRandomState& random) const;

 private:
  explicit SurfaceSampler(const TriangleMesh& mesh) : mesh_(&mesh) {}
  int32_t FaceAt(double area) const;
  const TriangleMesh* mesh_;
  std::vector<double> area_;  // running sum
  // first_[b] is the first face whose running sum reaches b / per_area_.
  std::vector<int32_t> first_;
  double per_area_ = 0;
};

/// SurfaceSampler for one draw. \error as Create and Sample.
absl::StatusOr<SurfaceSamples> SampleSurface(const TriangleMesh& mesh, int64_t n, NumpyRandomState& random);

}  // namespace manyform

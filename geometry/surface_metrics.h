/// \file
/// How far apart two sampled surfaces are: Chamfer distances, F-scores (Knapitsch et al. 2017, Tatarchenko et
/// al. 2019) and normal consistency (Mescheder et al. 2019), as the published system measures meshes.
#pragma once

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "geometry/sampling.h"
#include "geometry/types.h"

namespace manyform {

/// Points of a surface; `normals` has a row for each point, or none.
struct SurfacePoints {
  PointsF points;
  PointsF normals;
};
/// Samples of a mesh in single precision, with the unit normals of the faces they lie on.
SurfacePoints SurfacePointsOf(const TriangleMesh& mesh, const SurfaceSamples& samples);

/// At one distance tau.
struct FScore {
  double tau = 0;
  double precision = 0;  ///< share of predicted points within tau (<=) of a true one
  double recall = 0;     ///< share of true points within tau of a predicted one
  double score = 0;      ///< 2 precision recall / (precision + recall); 0 if both are
};

struct SurfaceMetrics {
  double chamfer_l1 = 0;  ///< mean distance to the other's nearest point: sum of both directions
  double chamfer_l2 = 0;  ///< the same of squared distances
  std::vector<FScore> f_scores;
  /// Mean |cosine| between a point's normal and that of the other's nearest point, average of both
  /// directions; zero normals count as 0. NaN unless both surfaces have normals.
  double normal_consistency = 0;
};

/// Distances, shares and means in double, from the single-precision coordinates; one entry of f_scores for
/// each of `taus`, in their order. \error InvalidArgument naming which surface has no points, a coordinate
/// that is not finite, or another number of normals than points; or a tau that is not finite or below 0.
absl::StatusOr<SurfaceMetrics> CompareSurfaces(const SurfacePoints& predicted, const SurfacePoints& truth,
                                               std::span<const double> taus);

}  // namespace manyform

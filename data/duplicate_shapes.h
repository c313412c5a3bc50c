/// \file
/// The same geometry met twice: a signature of an observed cloud that no rigid motion, scale or choice of
/// samples changes by more than sampling does, and the comparison that decides.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "geometry/types.h"

namespace manyform {

/// Of a cloud moved to its centroid and divided by its root mean square radius: shares of the covariance's
/// eigenvalues, and the distributions of radii, of pairwise distances (D2, Osada et al. 2002) and of each
/// point's mean distance to the others (eccentricity, Memoli 2011), as cumulative histograms.
struct ShapeSignature {
  static constexpr int kBins = 64;
  int64_t points = 0;             ///< 0: no cloud, or one without extent; is like nothing
  std::array<float, 2> shares{};  ///< largest and second largest, of the sum
  std::array<float, kBins> radii{}, distances{}, eccentricities{};
};

/// At most kSignaturePoints of the cloud's points are used, evenly spaced in its order. Points that are not
/// finite are left out.
inline constexpr int64_t kSignaturePoints = 2048;
ShapeSignature SignatureOf(const PointsFRef& cloud);

/// Whether two sets of samples of one surface could differ so much: every measure is within several standard
/// deviations of sampling. Of different shapes some in a thousand are, too. (Of shapes whose parts lie far
/// apart and are small, repeated samples may differ more: how many fall on each part decides.)
bool MayBeSameShape(const ShapeSignature& a, const ShapeSignature& b);

/// All (i,j) with MayBeSameShape(a[i], b[j]), sorted. Looks only at neighbours in the order of the first
/// share: some per cent of all pairs, a microsecond each.
std::vector<std::pair<int32_t, int32_t>> LikePairs(std::span<const ShapeSignature> a,
                                                   std::span<const ShapeSignature> b);

/// How far apart two clouds lie once aligned (rotation, translation, scale; no mirroring).
struct SurfaceMatch {
  /// Mean distance from a point of one to the nearest of the other, over the same within the other: 1 for two
  /// sets of independent samples of one surface, 0 for the same points; the larger of both directions.
  double spacing = 0;
  /// The same of the 99.5 % quantiles: a part that only one of them has shows here. Infinite where the best
  /// coarse alignment was hopeless; `spacing` is then its rough one.
  double tail = 0;
  /// spacing <= 1 + kSameExcess * sqrt(1024 / min(points, 1024)) and tail <= kSameTail. With 1024 and more
  /// points a table is told from one with legs a quarter longer; with fewer, less.
  bool same = false;
};
inline constexpr double kSameExcess = 0.08, kSameTail = 1.4;

/// Tries the alignments of the principal axes, in finer steps about axes that symmetry leaves free, and
/// improves the best of them by iterated closest points (Besl & McKay 1992). At most kMatchPoints of each
/// cloud are used; equal points count once. Deterministic. A cloud of fewer than kFewestMatchPoints points
/// says too little of a surface and matches nothing.
inline constexpr int64_t kMatchPoints = 2048, kFewestMatchPoints = 256;
SurfaceMatch CompareSurfaces(const PointsFRef& a, const PointsFRef& b);

}  // namespace manyform

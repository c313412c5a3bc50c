/// \file
/// What the hits of a sample say of the surface around its points and rays.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "geometry/types.h"

namespace manyform {

struct GradientOptions {
  bool include = false;
  bool inverse_distance = false;  ///< scaled by 1 / max(distance, eps)
  double eps = 1e-3;
  double clip = 10;          ///< largest norm; 0: any
  bool against_ray = false;  ///< turned against the ray that hit
};

struct UncertaintyOptions {
  bool include = false;
  int64_t k = 8;
};

/// Hits of m rays: where, the normals there, and which rays they are of.
struct Hits {
  PointsF xyz, normals, directions;  ///< (h,3)
  std::vector<int64_t> rays;         ///< (h), ascending
};
/// Those with hit > 0.5; all arguments are of m rays.
Hits HitsOf(const PointsF& origins, const PointsF& directions, const PointsF& normals,
            std::span<const float> hit, std::span<const float> t);

/// Per point the normal of the nearest hit, scaled, clipped and turned as asked for, and its norm; zeros
/// without hits.
struct PointGradients {
  PointsF vectors;           ///< (n,3)
  std::vector<float> norms;  ///< (n)
};
PointGradients GradientsAt(const PointsF& points, std::span<const float> distances, const Hits& hits,
                           const GradientOptions& options);

/// (m): for each ray that hit, 1 - mean |n_i . n_j| over the k nearest hits, its own included; 0 for a miss,
/// and everywhere with fewer than two hits.
std::vector<float> NormalUncertainty(const Hits& hits, int64_t rays, int64_t k);

}  // namespace manyform

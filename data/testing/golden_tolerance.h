/// \file
/// How far values may be from the golden ones: by the golden set's own statement, absolute.
#pragma once

#include "absl/strings/string_view.h"
#include "data/tokens.h"

namespace manyform {

/// Of an array of a shape's cache that was built from its mesh and seed. What is drawn, and every grid and
/// cloud answer, is the published one to the bit; directions come from a matrix product of another library,
/// hits from a ray caster of single precision, distances to the mesh itself from another formula.
inline double ShapeTolerance(absl::string_view array, absl::string_view pt_dist_mode) {
  if (array == "ray_d_pool") return 1e-6;
  if (array == "ray_t_pool") return 3e-7;
  return array == "pt_dist_pool" && pt_dist_mode == "mesh" ? 1e-6 : 0;
}

/// Of one feature of a token: copied values to the bit, hit positions to 1e-7, gradients (of points),
/// uncertainty (of rays) and whatever an augmentation moves to 1e-6.
inline float TokenTolerance(uint8_t type, int64_t feature, const TokenOptions& options) {
  constexpr int kHit = 11;
  const bool point = type == kPoint || type == kQueryPoint || type == kAnswerPoint;
  const bool ray = type == kRay || type == kQueryRay || type == kAnswerRay;
  if ((!point && !ray) || feature == kHit) return 0;
  if (options.augment.Any()) return 1e-6f;
  if (point) return options.gradient.include && feature >= 3 && feature < 9 ? 1e-6f : 0;
  if (feature < 3) return 1e-7f;
  return options.uncertainty.include && feature == 10 ? 1e-6f : 0;
}

}  // namespace manyform

/// \file
/// What the completion head is fitted to: distances, or a function of them that weighs near ones more.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace manyform {

struct TargetTransform {
  enum class Kind { kNone, kTruncate, kLog };
  Kind kind = Kind::kNone;
  float truncation = 0.1f;  ///< kTruncate: min(d, truncation)
  float scale = 0.03f;      ///< kLog: log(1 + d / scale)

  /// f32 arithmetic.
  float Forward(float distance) const;
  /// A truncated distance stays as it is: what was cut off is not known.
  float Inverse(float value) const;
  std::vector<float> Forward(std::span<const float> distances) const;
  std::vector<float> Inverse(std::span<const float> values) const;
};

/// "none", "trunc" or "log1p". \error InvalidArgument with these, or for a parameter that is not above 0.
absl::StatusOr<TargetTransform> ParseTargetTransform(const std::string& name, double trunc_max,
                                                     double log_scale);

}  // namespace manyform

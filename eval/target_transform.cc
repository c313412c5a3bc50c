#include "eval/target_transform.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace manyform {

float TargetTransform::Forward(float distance) const {
  switch (kind) {
    case Kind::kTruncate:
      return std::min(distance, truncation);
    case Kind::kLog:
      return std::log1p(distance / scale);
    default:
      return distance;
  }
}

float TargetTransform::Inverse(float value) const {
  return kind == Kind::kLog ? std::expm1(value) * scale : value;
}

std::vector<float> TargetTransform::Forward(std::span<const float> distances) const {
  std::vector<float> values(distances.size());
  std::transform(distances.begin(), distances.end(), values.begin(), [this](float d) { return Forward(d); });
  return values;
}

std::vector<float> TargetTransform::Inverse(std::span<const float> values) const {
  std::vector<float> distances(values.size());
  std::transform(values.begin(), values.end(), distances.begin(), [this](float v) { return Inverse(v); });
  return distances;
}

absl::StatusOr<TargetTransform> ParseTargetTransform(const std::string& name, double trunc_max,
                                                     double log_scale) {
  TargetTransform transform = {.truncation = static_cast<float>(trunc_max),
                               .scale = static_cast<float>(log_scale)};
  if (name == "none") return transform;
  if (name == "trunc") {
    if (!(transform.truncation > 0))
      return absl::InvalidArgumentError("target_trunc_max must be above 0 for target_transform=trunc");
    transform.kind = TargetTransform::Kind::kTruncate;
    return transform;
  }
  if (name == "log1p") {
    if (!(transform.scale > 0))
      return absl::InvalidArgumentError("target_log_scale must be above 0 for target_transform=log1p");
    transform.kind = TargetTransform::Kind::kLog;
    return transform;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("target_transform is none, trunc or log1p, not \"", name, "\""));
}

}  // namespace manyform

#include "data/augment.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/string_views.h"

namespace manyform {

absl::Status ApplyAugmentPreset(std::string_view preset, AugmentOptions* options) {
  const auto otherwise = [](auto* value, auto standard, auto wanted) {
    if (*value == standard) *value = wanted;
  };
  if (preset.empty() || preset == "none") return absl::OkStatus();
  if (preset == "modelnet40") {
    otherwise(&options->scale_min, 1.0, 0.8);
    otherwise(&options->scale_max, 1.0, 1.25);
    otherwise(&options->translate, 0.0, 0.1);
    return absl::OkStatus();
  }
  if (preset == "scanobjectnn") {
    options->rotate_z = true;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("aug_preset '", ToAbsl(preset), "', expected none, modelnet40 or scanobjectnn"));
}

template <class Random>
void Augmentation::DrawMotion(const AugmentOptions& options, Random& random) {
  moves_ = options.Any();
  turns_ = options.rotate_z;
  if (turns_) {
    const double angle = 2 * M_PI * random.Double();
    cosine_ = static_cast<float>(std::cos(angle));
    sine_ = static_cast<float>(std::sin(angle));
  }
  const auto uniform = [&random](double low, double high) {
    return static_cast<float>(low + (high - low) * random.Double());
  };
  if (options.scale_min != 1 || options.scale_max != 1)
    scale_ = uniform(options.scale_min, options.scale_max);
  if (options.translate > 0) {
    for (float& s : shift_) s = uniform(-options.translate, options.translate);
  }
  jitter_sigma_ = std::max(options.jitter_sigma, 0.0);
  jitter_clip_ = options.jitter_clip;
}

float Augmentation::Clipped(double jitter) const {
  return static_cast<float>(jitter_clip_ > 0 ? std::clamp(jitter, -jitter_clip_, jitter_clip_) : jitter);
}

Augmentation Augmentation::Draw(const AugmentOptions& options, int64_t points, NumpyRandomState& random) {
  Augmentation drawn;
  drawn.DrawMotion(options, random);
  if (drawn.jitter_sigma_ > 0) {
    drawn.jitter_.resize(3 * points);
    for (float& j : drawn.jitter_) j = drawn.Clipped(drawn.jitter_sigma_ * random.Normal());
  }
  return drawn;
}

Augmentation Augmentation::Draw(const AugmentOptions& options, int64_t /*points*/, TrainStream& random) {
  Augmentation drawn;
  drawn.DrawMotion(options, random);
  if (drawn.jitter_sigma_ > 0) drawn.jitter_key_ = random.Next();
  return drawn;
}

void Augmentation::MovePlace(float* p) const {
  Turn(p);
  for (int k = 0; k < 3; ++k) p[k] = p[k] * scale_ + shift_[k];
}

void Augmentation::Turn(float* v) const {
  if (!turns_) return;
  const float x = v[0], y = v[1];
  v[0] = cosine_ * x - sine_ * y;
  v[1] = sine_ * x + cosine_ * y;
}

void Augmentation::MovePoint(int64_t index, float* point) const {
  MovePlace(point);
  if (!jitter_.empty()) {
    for (int k = 0; k < 3; ++k) point[k] += jitter_[3 * index + k];
  } else if (jitter_sigma_ > 0) {
    TrainStream own(jitter_key_, 0, index);
    for (int k = 0; k < 3; ++k) point[k] += Clipped(jitter_sigma_ * own.Normal());
  }
}

}  // namespace manyform

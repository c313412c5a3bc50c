/// \file
/// A shape moved as one: turned, scaled, shifted, its points jittered.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/numpy_random.h"
#include "data/train_stream.h"

namespace manyform {

struct AugmentOptions {
  bool rotate_z = false;                ///< by an angle uniform in [0, 2 pi)
  double scale_min = 1, scale_max = 1;  ///< one factor for all axes, distances and depths
  double translate = 0;                 ///< each coordinate by up to this much
  double jitter_sigma = 0;              ///< of each coordinate of each point; rays stay
  double jitter_clip = 0;               ///< its largest size; 0: any
  bool in_eval = false;                 ///< in deterministic evaluation, too
  bool Any() const {
    return rotate_z || scale_min != 1 || scale_max != 1 || translate > 0 || jitter_sigma > 0;
  }
};

/// "none"; "modelnet40": scale 0.8 to 1.25, shift 0.1; "scanobjectnn": turned about z. Sets those of
/// rotate_z, scale_min, scale_max and translate that have their defaults: what was asked for by name stays.
/// \error InvalidArgument with the known names.
absl::Status ApplyAugmentPreset(std::string_view preset, AugmentOptions* options);

/// One draw of it. Single precision; rotation, then scale, shift, jitter.
class Augmentation {
 public:
  /// Leaves everything where it is.
  Augmentation() = default;
  /// Angle, scale, three shifts, 3 * `points` normals: those that are asked for, in this order.
  static Augmentation Draw(const AugmentOptions& options, int64_t points, NumpyRandomState& random);
  /// The jitter of a point depends on the draw and its index alone, so it costs what is moved.
  static Augmentation Draw(const AugmentOptions& options, int64_t points, TrainStream& random);

  bool moves() const { return moves_; }
  float scale() const { return scale_; }
  /// Point `index` of the pool, in place.
  void MovePoint(int64_t index, float* point) const;
  /// A place without jitter: a ray's origin.
  void MovePlace(float* place) const;
  /// A direction or normal.
  void Turn(float* direction) const;

 private:
  template <class Random>
  void DrawMotion(const AugmentOptions& options, Random& random);
  float Clipped(double jitter) const;

  bool moves_ = false, turns_ = false;
  float cosine_ = 1, sine_ = 0, scale_ = 1;
  float shift_[3] = {0, 0, 0};
  double jitter_sigma_ = 0, jitter_clip_ = 0;
  uint64_t jitter_key_ = 0;
  std::vector<float> jitter_;  // (P,3) where all of it was drawn
};

}  // namespace manyform

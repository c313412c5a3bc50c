/// \file
/// What changes over the epochs and steps of a run: sequence sizes, the dual mask, the learning rate.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "model/attention_masks.h"

namespace manyform {

/// "epoch:value,epoch:value": from an epoch on, a value; before the first, the one given without a schedule.
class SizeSchedule {
 public:
  /// Always `base`.
  explicit SizeSchedule(int64_t base) : base_(base) {}
  /// \error InvalidArgument naming `field` and the part that is not epoch:value with both >= 0, or an epoch
  /// that comes twice.
  static absl::StatusOr<SizeSchedule> Parse(const std::string& field, const std::string& text, int64_t base);
  int64_t At(int64_t epoch) const;
  /// The first epoch after this one with another value; INT64_MAX if there is none.
  int64_t NextChange(int64_t epoch) const;

 private:
  int64_t base_;
  std::map<int64_t, int64_t> from_;
};

/// A dual mask that grows in over the first steps and whose window follows the sequence's size.
struct DualMaskSchedule {
  DualMask full;              ///< seed aside
  double warmup_frac = 0.05;  ///< of all steps; the chances grow linearly from 0
  int64_t total_steps = 0;
  enum class Scale { kNone, kLinear, kSqrt } window_scale = Scale::kLinear;
  int64_t reference_total = 0;  ///< points and rays for which the window is meant
  int64_t seed = 0;

  /// Of a step (from 0) with `total` points and rays. Seed (seed 1000003 + step) mod 2^32.
  DualMask At(int64_t step, int64_t total) const;
};
/// "none", "linear" or "sqrt". \error InvalidArgument with these.
absl::StatusOr<DualMaskSchedule::Scale> ParseWindowScale(const std::string& name);

struct LearningRateSchedule {
  double peak = 3e-4;
  bool cosine = false;  ///< falls to `least` along half a cosine after the warm-up; else constant at `peak`
  double least = 0;
  int64_t warmup_steps = 0;  ///< linear from peak / warmup_steps
  int64_t total_steps = 0;

  /// Of a step, from 0.
  double At(int64_t step) const;
};

}  // namespace manyform

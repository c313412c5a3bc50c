#include "train/schedules.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/config.h"

namespace manyform {

absl::StatusOr<SizeSchedule> SizeSchedule::Parse(const std::string& field, const std::string& text,
                                                 int64_t base) {
  SizeSchedule schedule(base);
  if (text.empty()) return schedule;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    const std::vector<absl::string_view> sides = absl::StrSplit(part, ':');
    int64_t epoch = 0, value = 0;
    if (sides.size() != 2 || !absl::SimpleAtoi(sides[0], &epoch) || !absl::SimpleAtoi(sides[1], &value) ||
        epoch < 0 || value < 0)
      return BadConfigError(absl::StrCat(field, ": '", part, "', expected epoch:value"));
    if (!schedule.from_.emplace(epoch, value).second)
      return BadConfigError(absl::StrCat(field, ": epoch ", epoch, " comes twice"));
  }
  return schedule;
}

int64_t SizeSchedule::At(int64_t epoch) const {
  const auto after = from_.upper_bound(epoch);
  return after == from_.begin() ? base_ : std::prev(after)->second;
}

int64_t SizeSchedule::NextChange(int64_t epoch) const {
  for (auto next = from_.upper_bound(epoch); next != from_.end(); ++next)
    if (next->second != At(epoch)) return next->first;
  return std::numeric_limits<int64_t>::max();
}

DualMask DualMaskSchedule::At(int64_t step, int64_t total) const {
  DualMask mask = full;
  const auto warmup =
      std::max<int64_t>(1, static_cast<int64_t>(warmup_frac * static_cast<double>(total_steps)));
  const double ramp = std::min(1.0, static_cast<double>(step) / static_cast<double>(warmup));
  mask.near *= ramp;
  mask.far *= ramp;
  const double ratio =
      static_cast<double>(total) / static_cast<double>(std::max<int64_t>(1, reference_total));
  if (mask.window > 0 && window_scale != Scale::kNone) {
    const double factor = window_scale == Scale::kLinear ? ratio : std::sqrt(ratio);
    mask.window = std::max<int64_t>(1, std::lrint(static_cast<double>(full.window) * factor));
  }
  mask.seed = static_cast<uint32_t>(static_cast<uint64_t>(seed) * 1000003u + static_cast<uint64_t>(step));
  return mask;
}

absl::StatusOr<DualMaskSchedule::Scale> ParseWindowScale(const std::string& name) {
  if (name == "none") return DualMaskSchedule::Scale::kNone;
  if (name == "linear") return DualMaskSchedule::Scale::kLinear;
  if (name == "sqrt") return DualMaskSchedule::Scale::kSqrt;
  return absl::InvalidArgumentError(
      absl::StrCat("dual_mask_window_scale: '", name, "', expected none, linear or sqrt"));
}

double LearningRateSchedule::At(int64_t step) const {
  if (step < warmup_steps) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  if (!cosine) return peak;
  const double done = static_cast<double>(step - warmup_steps) /
                      static_cast<double>(std::max<int64_t>(1, total_steps - warmup_steps));
  return least + (peak - least) * 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, done)));
}

}  // namespace manyform

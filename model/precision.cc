#include "model/precision.h"

#include <ATen/autocast_mode.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "absl/strings/str_cat.h"

namespace manyform {

absl::StatusOr<Precision> ParsePrecision(const std::string& name) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16})
    if (name == PrecisionName(precision)) return precision;
  return absl::InvalidArgumentError(absl::StrCat("precision: '", name, "', expected f32 or bf16"));
}

const char* PrecisionName(Precision precision) {
  return precision == Precision::kF32 ? "f32" : precision == Precision::kBf16 ? "bf16" : "f16";
}

bool HasBf16Arithmetic(c10::Device device) {
  if (!device.is_cpu()) return true;
#if defined(__x86_64__)
  constexpr unsigned kAvx512Bf16 = 1u << 5, kAmxBf16 = 1u << 22;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kAmxBf16) != 0) return true;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & kAvx512Bf16) != 0;
#else
  return false;
#endif
}

PrecisionScope::PrecisionScope(c10::Device device, Precision precision)
    : device_(device.type()),
      active_(precision != Precision::kF32),
      was_enabled_(at::autocast::is_autocast_enabled(device_)),
      was_type_(at::autocast::get_autocast_dtype(device_)) {
  if (!active_) return;
  at::autocast::set_autocast_dtype(device_, precision == Precision::kBf16 ? at::kBFloat16 : at::kHalf);
  at::autocast::set_autocast_enabled(device_, true);
  at::autocast::increment_nesting();
}

PrecisionScope::~PrecisionScope() {
  if (!active_) return;
  // The casts of weights that it keeps are of these weights, which the next step changes.
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, was_enabled_);
  at::autocast::set_autocast_dtype(device_, was_type_);
}

}  // namespace manyform

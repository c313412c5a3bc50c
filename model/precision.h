/// \file
/// Which arithmetic the layers compute in.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "c10/core/Device.h"
#include "c10/core/ScalarType.h"

namespace manyform {

enum class Precision {
  kF32,
  kBf16,  ///< linear layers and attention in bfloat16; weights, norms, residuals and losses stay f32
  kF16    ///< the same in float16, whose small gradients vanish unless the loss is scaled
};
/// "f32" or "bf16". \error InvalidArgument with these.
absl::StatusOr<Precision> ParsePrecision(const std::string& name);
const char* PrecisionName(Precision precision);

/// Whether the processor or GPU multiplies bfloat16 matrices itself (AVX-512 BF16 or AMX); elsewhere it is
/// emulated, and slower than f32.
bool HasBf16Arithmetic(c10::Device device);

/// While it lives, what this thread does on devices of the kind of `device` is done in `precision` (torch's
/// autocast). Backward passes follow their forward passes and need no scope.
class PrecisionScope {
 public:
  PrecisionScope(c10::Device device, Precision precision);
  ~PrecisionScope();
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  const c10::DeviceType device_;
  const bool active_, was_enabled_;
  const c10::ScalarType was_type_;
};

}  // namespace manyform

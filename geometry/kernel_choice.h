/// \file
/// Which of the functions of a kernel_library this processor can run.
#pragma once

namespace manyform {

enum class Instructions { kPortable, kAvx2, kAvx512 };

inline bool ProcessorHas(Instructions instructions) {
  switch (instructions) {
    case Instructions::kPortable:
      return true;
    case Instructions::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Instructions::kAvx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  }
  return false;
}

/// The widest of the three that runs here.
template <class Kernel>
Kernel* WidestKernel(Kernel* portable, Kernel* avx2, Kernel* avx512) {
  if (ProcessorHas(Instructions::kAvx512)) return avx512;
  return ProcessorHas(Instructions::kAvx2) ? avx2 : portable;
}

}  // namespace manyform

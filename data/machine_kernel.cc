// Compiled for each set of instructions, see kernel_library in geometry/kernels.bzl.
#include "data/machine_kernel.h"

namespace manyform {
namespace {

typedef float Vector __attribute__((vector_size(MF_VECTOR_BYTES), may_alias, aligned(4)));
// Independent chains of multiply and add, so that neither latency nor memory is what is measured.
constexpr int kChains = 8, kWidth = MF_VECTOR_BYTES / 4;

}  // namespace

void MF_MACHINE_KERNEL(int rounds, float* values) {
  for (int first = 0; first < kMachineValues; first += kChains * kWidth) {
    Vector chain[kChains];
    for (int c = 0; c < kChains; ++c) chain[c] = *reinterpret_cast<Vector*>(values + first + c * kWidth);
    for (int r = 0; r < rounds; ++r) {
      for (Vector& v : chain) v = v * 0.999f + 0.001f;
    }
    for (int c = 0; c < kChains; ++c) *reinterpret_cast<Vector*>(values + first + c * kWidth) = chain[c];
  }
}

}  // namespace manyform

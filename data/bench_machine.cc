#include "data/bench_machine.h"

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "data/machine_kernel.h"
#include "geometry/kernel_choice.h"

namespace manyform {
namespace {

double CpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

template <class Work>
double BestSeconds(Work work) {
  double best = 1e9;
  for (int i = 0; i < 9; ++i) {
    const double start = CpuSeconds();
    work();
    best = std::min(best, CpuSeconds() - start);
  }
  return best;
}

}  // namespace

MachineRates MeasureMachine() {
  constexpr int kRounds = 200000;
  constexpr size_t kBytes = size_t{16} << 20;
  float values[kMachineValues] = {};
  Compute* const compute = WidestKernel(&ComputePortable, &ComputeAvx2, &ComputeAvx512);
  const double computing = BestSeconds([&] { compute(kRounds, values); });
  std::vector<char> from(kBytes, 1), to(kBytes, 2);
  const double copying = BestSeconds([&] {
    std::memcpy(to.data(), from.data(), kBytes);
    from[0] = static_cast<char>(to[kBytes / 2] + static_cast<char>(values[0]));
  });
  return {.bytes_per_second = 2.0 * kBytes / copying,
          .operations_per_second = 2.0 * kRounds * kMachineValues / computing};
}

}  // namespace manyform

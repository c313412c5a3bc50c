#include "data/bench_machine.h"

#include <time.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

namespace manyform {
namespace {

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__SANITIZE_ADDRESS__)
#define MF_WIDEST __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define MF_WIDEST
#endif

constexpr int kLanes = 16, kChains = 8;

// Independent chains of multiply and add, so that neither latency nor memory is what is measured.
MF_WIDEST void Compute(int rounds, float* values) {
  typedef float Vector __attribute__((vector_size(sizeof(float) * kLanes)));
  Vector chain[kChains];
  std::memcpy(chain, values, sizeof(chain));
  for (int r = 0; r < rounds; ++r) {
    for (Vector& v : chain) v = v * 0.999f + 0.001f;
  }
  std::memcpy(values, chain, sizeof(chain));
}

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
  float values[kLanes * kChains] = {};
  const double computing = BestSeconds([&] { Compute(kRounds, values); });
  std::vector<char> from(kBytes, 1), to(kBytes, 2);
  const double copying = BestSeconds([&] {
    std::memcpy(to.data(), from.data(), kBytes);
    from[0] = static_cast<char>(to[kBytes / 2] + static_cast<char>(values[0]));
  });
  return {.bytes_per_second = 2.0 * kBytes / copying,
          .operations_per_second = 2.0 * kRounds * kLanes * kChains / computing};
}

}  // namespace manyform

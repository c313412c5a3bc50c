// What a parallel loop costs beside its body: per loop (threads are started for each) and per index.
#include "base/thread_pool.h"
#include "benchmark/benchmark.h"

namespace manyform {
namespace {

void BM_Loop(benchmark::State& state) {
  const int threads = static_cast<int>(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(ParallelFor(state.range(1), threads, [](int64_t i) {
      benchmark::DoNotOptimize(i);
      return absl::OkStatus();
    }));
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
}
BENCHMARK(BM_Loop)->ArgNames({"threads", "n"})->ArgsProduct({{1, 2, 8}, {8, 100000}})->UseRealTime();

}  // namespace
}  // namespace manyform

BENCHMARK_MAIN();

// Rows of a retrieval ranked a second: dot products, noise and ranks.
#include "ATen/ATen.h"
#include "benchmark/benchmark.h"
#include "eval/ranks.h"

namespace manyform {
namespace {

void BM_RankTrueItems(benchmark::State& state) {
  const int64_t n = state.range(0);
  const at::Tensor query = at::randn({n, 384}), gallery = at::randn({n, 384});
  const double eps = state.range(1) ? 1e-6 : 0;
  for (auto _ : state) benchmark::DoNotOptimize(RankTrueItems(query, gallery, {.tie_break_eps = eps}));
  state.SetItemsProcessed(state.iterations() * n * n);
}
BENCHMARK(BM_RankTrueItems)->Args({1000, 0})->Args({1000, 1})->Args({5000, 1})->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace manyform

BENCHMARK_MAIN();

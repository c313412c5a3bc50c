// Rows a second that the normal equations take in.
#include <vector>

#include "ATen/ATen.h"
#include "benchmark/benchmark.h"
#include "eval/ridge.h"

namespace manyform {
namespace {

void BM_Add(benchmark::State& state) {
  const at::Tensor x = at::randn({8192, 384});
  const std::vector<float> y(8192, 0.5f);
  RidgeFit fit(384);
  for (auto _ : state) fit.Add(x, y);
  state.SetItemsProcessed(state.iterations() * 8192);
}
BENCHMARK(BM_Add)->Unit(benchmark::kMillisecond);

void BM_Solve(benchmark::State& state) {
  RidgeFit fit(384);
  fit.Add(at::randn({8192, 384}), std::vector<float>(8192, 0.5f));
  for (auto _ : state) benchmark::DoNotOptimize(fit.Solve(1e-3));
}
BENCHMARK(BM_Solve)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace manyform

BENCHMARK_MAIN();

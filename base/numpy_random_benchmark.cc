// What the streams of the protocol cost a draw.
#include "base/numpy_random.h"
#include "benchmark/benchmark.h"

namespace manyform {
namespace {

void BM_Double(benchmark::State& state) {
  NumpyRandomState random(1);
  for (auto _ : state) benchmark::DoNotOptimize(random.Double());
}
BENCHMARK(BM_Double);

void BM_RandInt(benchmark::State& state) {
  NumpyRandomState random(1);
  for (auto _ : state) benchmark::DoNotOptimize(random.RandInt(0, state.range(0)));
}
BENCHMARK(BM_RandInt)->Arg(20000)->Arg(int64_t{1} << 40);

void BM_Normal(benchmark::State& state) {
  NumpyRandomState random(1);
  for (auto _ : state) benchmark::DoNotOptimize(random.Normal());
}
BENCHMARK(BM_Normal);

// 256 of 20,000 points, as a token sequence draws them: the whole permutation is part of the protocol.
void BM_ChoiceWithoutReplacement(benchmark::State& state) {
  NumpyRandomState random(1);
  for (auto _ : state) benchmark::DoNotOptimize(random.Choice(20000, 256, false));
}
BENCHMARK(BM_ChoiceWithoutReplacement)->Unit(benchmark::kMicrosecond);

void BM_RandIntVector(benchmark::State& state) {
  NumpyRandomState random(1);
  for (auto _ : state) benchmark::DoNotOptimize(random.RandIntVector(0, 20000, 10000));
  state.SetItemsProcessed(state.iterations() * 10000);
}
BENCHMARK(BM_RandIntVector);

void BM_Seed(benchmark::State& state) {
  NumpyRandomState random(1);
  for (auto _ : state) random.Seed(static_cast<uint32_t>(state.iterations()));
}
BENCHMARK(BM_Seed);

}  // namespace
}  // namespace manyform

BENCHMARK_MAIN();

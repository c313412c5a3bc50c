// Sequences a second through the model as retrieval asks for them, by batch: 256 points and 256 rays, Q/A
// tokens, the published size.
#include <vector>

#include "ATen/ATen.h"
#include "benchmark/benchmark.h"
#include "c10/core/InferenceMode.h"
#include "data/tokens.h"
#include "model/pooling.h"

namespace manyform {
namespace {

void BM_Embed(benchmark::State& state) {
  const c10::InferenceMode no_gradients;
  const int64_t batch = state.range(0), length = 1026;
  const bool predictions = state.range(2) == 1;
  auto model = QueryTransformer::Create({384, state.range(1), 6, 9, length}, 1);
  model->SetRequiresGrad(false);
  const at::Tensor feat = at::randn({batch, length, kFeatures});
  at::Tensor type = at::full({batch, length}, int64_t{kQueryPoint}, at::kLong);
  type.slice(1, 2, length, 2).fill_(int64_t{kAnswerPoint});
  const Pooling pooling = predictions ? Pooling::kMeanPredicted : Pooling::kMeanAnswersOrRest;
  for (auto _ : state) benchmark::DoNotOptimize(PooledHidden(*model, feat, type, pooling, /*causal=*/true));
  state.SetItemsProcessed(state.iterations() * batch);
}
BENCHMARK(BM_Embed)
    ->ArgNames({"batch", "layers", "zhat"})
    ->ArgsProduct({{1, 2, 4, 8, 16, 32}, {8}, {0}})
    ->Args({8, 8, 1})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

}  // namespace
}  // namespace manyform

BENCHMARK_MAIN();

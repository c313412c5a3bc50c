// Seconds a training step takes, and the memory it peaks at, on batches of random tokens.
//
//   bazel run //train:step_bench -- --benchmark_filter=published/threads:1
#include <ATen/ATen.h>
#include <sys/resource.h>

#include <cstring>

#include "benchmark/benchmark.h"
#include "data/tokens.h"
#include "model/checkpoint.h"
#include "model/thread_waiting.h"
#include "train/allocator.h"
#include "train/objectives.h"
#include "train/optimizer.h"

namespace manyform {
namespace {

struct Shape {
  int64_t n_point, n_ray, d_model, layers, heads;
};

// Features of a question/answer sequence; the loss does not care what they say.
at::Tensor RandomTypes(const Shape& shape, int64_t batch, int64_t length) {
  at::Tensor types = at::empty({batch, length}, at::kLong);
  for (int64_t t = 0; t < length; ++t) {
    int64_t type = t == 0 ? kBos : kEos;
    if (t > 0 && t + 1 < length)
      type = t <= 2 * shape.n_point ? (t % 2 == 1 ? kQueryPoint : kAnswerPoint)
                                    : (t % 2 == 1 ? kQueryRay : kAnswerRay);
    types.select(1, t).fill_(type);
  }
  return types;
}

double PeakGiB() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / (1 << 20);
}

void BM_Step(benchmark::State& state, const Shape& shape) {
  constexpr int64_t kBatch = 32;
  KeepFreedMemory();
  SetTensorThreads(static_cast<int>(state.range(0)));
  const int64_t length = SequenceLength(shape.n_point, shape.n_ray, {.qa_tokens = true});
  const auto model = QueryTransformer::Create({.d_model = shape.d_model,
                                               .layers = shape.layers,
                                               .heads = shape.heads,
                                               .n_types = 9,
                                               .max_len = length},
                                              0)
                         .value();
  AdamW optimizer(model.parameters(), {});
  const at::Tensor feat = at::rand({kBatch, length, kFeatures});
  const at::Tensor types = RandomTypes(shape, kBatch, length);
  const auto step = [&] {
    optimizer.ClearGradients();
    const at::Tensor loss = NepaLoss(model, feat, types);
    loss.backward();
    optimizer.Step();
    return loss.item<double>();
  };
  step();
  for (auto _ : state) benchmark::DoNotOptimize(step());
  state.counters["samples/s"] =
      benchmark::Counter(static_cast<double>(kBatch * state.iterations()), benchmark::Counter::kIsRate);
  state.counters["peak_GiB"] = PeakGiB();
}

void Threads(benchmark::internal::Benchmark* bench) {
  bench->ArgName("threads")->Arg(1)->Arg(2)->Unit(benchmark::kSecond)->UseRealTime();
}

BENCHMARK_CAPTURE(BM_Step, published, Shape{256, 256, 384, 8, 6})->Apply(Threads);
BENCHMARK_CAPTURE(BM_Step, small, Shape{50, 50, 128, 4, 4})->Apply(Threads);

}  // namespace
}  // namespace manyform

int main(int argc, char** argv) {
  manyform::SleepBetweenParallelLoops(argv);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}

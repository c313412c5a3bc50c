/// \file
/// One row of //train:bench: a model and batches of a size, and steps computed in one way.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/train_bench.pb.h"

namespace manyform {

struct BenchSize {
  std::string name;
  int64_t n_point, n_ray, d_model, layers, heads;
};
/// \error InvalidArgument with the names there are.
absl::StatusOr<BenchSize> FindBenchSize(const std::string& name);
/// Tokens a sequence, questions and answers.
int64_t BenchLength(const BenchSize& size);
/// What one step has to compute at least with causal attention: products alone, backward twice the forward.
double StepFlop(const BenchSize& size, int64_t batch);

struct BenchWay {
  std::string name;
  bool bf16 = false, dual_mask = false, baseline = false;
};
/// \error InvalidArgument with the names there are.
absl::StatusOr<BenchWay> FindBenchWay(const std::string& name);

/// A cache of a few boxes at `root`, at the published sizes of pools.
absl::Status MakeBenchCache(const std::string& root);

/// Times `steps` steps after a first one, on samples of the cache at `root`. The row's peak is the process's:
/// call it in a process of its own. \error as SelectDevice; Cancelled when interrupted.
absl::StatusOr<TrainBenchRow> TimeSteps(const BenchSize& size, const BenchWay& way, int threads,
                                        int64_t batch, int64_t micro_batch, int64_t steps,
                                        const std::string& device, const std::string& root);

}  // namespace manyform

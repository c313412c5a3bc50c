/// \file
/// What a training step costs, way by way, and the table //train:bench prints of it.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "proto/train_bench.pb.h"

namespace manyform {

/// Times every combination of the config's sizes, modes and threads, each in a process of its own, and prints
/// TrainBenchTable. \error as TimeSteps; InvalidArgument for an unknown size or mode.
absl::StatusOr<TrainBenchResult> TrainBench(const TrainBenchConfig& config);

/// Seconds, the phases' shares, rates, FLOP/s and their share of the machine's, peak memory; speed and memory
/// as multiples of the baseline of the same size and threads, where there is one.
std::string TrainBenchTable(const TrainBenchResult& result);

}  // namespace manyform

/// \file
/// The data engine's speed, stage by stage.
#pragma once

#include "absl/status/statusor.h"
#include "proto/bench.pb.h"

namespace manyform {

/// Times every stage at the published sizes (20,000 points, 8,000 rays, grids of 64, clouds of 2,048) on each
/// model of the list, and prints BenchTable. Files go below config.scratch, which is left as it was.
/// \error NotFound, saying how to make the models, where one is missing.
absl::StatusOr<BenchResult> Bench(const BenchConfig& config);

}  // namespace manyform

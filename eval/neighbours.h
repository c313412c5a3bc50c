/// \file
/// Votes of the nearest neighbours.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "eval/feature_rows.h"

namespace manyform {

/// Angle between rows (a zero row is at right angles to all), or distance.
enum class Nearness { kCosine, kEuclid };

/// For each k of `ks`, the class of each row of `asked`: the one most frequent among its k nearest `rows`, of
/// equally frequent ones that of the nearest. Of equally near rows the first counts as nearer.
/// \error InvalidArgument naming a k that is not in [1, rows]; as ParallelFor.
absl::StatusOr<std::vector<std::vector<int64_t>>> VoteOfNeighbours(const FeatureRows& rows,
                                                                   std::span<const int64_t> labels,
                                                                   const FeatureRows& asked,
                                                                   std::span<const int64_t> ks,
                                                                   Nearness nearness, int num_threads);

}  // namespace manyform

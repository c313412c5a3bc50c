/// \file
/// Which shapes an epoch over several datasets consists of.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

namespace manyform {

struct Draw {
  int32_t dataset;
  int64_t shape;
};

/// The published index stream of an epoch, from MT((mix_seed + 1009 epoch) mod 2^32): per draw a dataset by
/// weight, then a shape, with replacement; else choice(total, n), weights aside. `sizes` and `weights` are
/// per dataset; a negative weight counts as 0. `num_samples` <= 0 means as many as there are shapes. \error
/// InvalidArgument for a dataset without shapes, weights that are all zero or not finite, or more draws than
/// shapes without replacement.
absl::StatusOr<std::vector<Draw>> MixtureDraws(const std::vector<int64_t>& sizes,
                                               const std::vector<double>& weights, int64_t num_samples,
                                               bool replacement, int64_t mix_seed, int64_t epoch);

}  // namespace manyform

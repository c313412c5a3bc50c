/// \file
/// Divides a cache so that no training shape is seen in more than one form.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/split.pb.h"

namespace manyform {

/// The split file of `config`, and how many shapes each split has. Within each class (sorted) the training
/// shapes (sorted, then shuffled by one MT(seed) that runs on from class to class) go to train_mesh, train_pc
/// and train_udf by the ratios; every shape of the other split is eval.
/// \error InvalidArgument for ratios; NotFound for a split without shapes, FailedPrecondition for a class
/// folder without any.
absl::StatusOr<SplitUnpairedResult> SplitUnpaired(const SplitUnpairedConfig& config);

/// The split itself. `train` and `eval` are "class/id".
/// \error InvalidArgument unless there are three finite ratios of at least 0, not all of them 0.
absl::StatusOr<SplitManifest> MakeUnpairedSplit(const SplitUnpairedConfig& config,
                                                const std::vector<std::string>& train,
                                                const std::vector<std::string>& eval);

/// How many of n shapes are mesh, pc and udf: each share rounded half to even, the last one takes the rest;
/// if n >= 3 an empty share takes one from the first largest. \pre weights sum to 1
std::array<int64_t, 3> UnpairedCounts(int64_t n, const std::array<double, 3>& weights);

}  // namespace manyform

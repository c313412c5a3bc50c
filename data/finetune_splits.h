/// \file
/// Which shapes fine-tuning trains on and which it validates with.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace manyform {

/// A shape of a list that is divided.
struct LabelledPath {
  std::string class_name, path;
};

/// Indices into the list, by ascending path.
struct TrainValidation {
  std::vector<int64_t> train, validation;
};

/// From each class, in the order of its first shape in the list, the first int(ratio n) of its sorted paths
/// shuffled by one MT(seed mod 2^32); at least 1 if n >= 2. Nothing at ratio 0.
/// \error InvalidArgument unless 0 <= ratio <= 1.
absl::StatusOr<TrainValidation> SplitValidation(std::span<const LabelledPath> shapes, double ratio,
                                                int64_t seed);

/// From each class, as above, the first k of its shuffled shapes; all of them for k = 0. `from` are indices
/// into `shapes`. \returns indices by ascending path.
/// \error InvalidArgument if k < 0.
absl::StatusOr<std::vector<int64_t>> PickShots(std::span<const LabelledPath> shapes,
                                               std::span<const int64_t> from, int64_t k, int64_t seed);

/// n of the distinct classes, by MT(seed mod 2^32); all of them for n = 0. Sorted.
/// \error InvalidArgument if n < 0 or there are fewer.
absl::StatusOr<std::vector<std::string>> PickClasses(std::vector<std::string> classes, int64_t n,
                                                     int64_t seed);

}  // namespace manyform

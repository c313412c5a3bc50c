/// \file
/// The random stream of one training draw: a counter under a key, so that any draw of any epoch can be made
/// alone, in any order, on any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

namespace manyform {

/// SplitMix64 (Steele et al. 2014) from a start that mixes seed, epoch and draw. Not thread-safe.
class TrainStream {
 public:
  TrainStream(uint64_t seed, int64_t epoch, int64_t draw);
  uint64_t Next();
  /// In [0,1): 53 bits.
  double Double() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  /// Uniform on [0, n), without bias (Lemire 2019). \pre n > 0
  uint64_t Below(uint64_t n);
  /// Standard normal (Box and Muller 1958), from two words.
  double Normal();
  /// k of [0,n) in random order, as NumpyRandomState::Choice distributes them, in O(k) rather than O(n).
  /// \error InvalidArgument if n < 1 with k > 0, or k > n without replacement.
  absl::StatusOr<std::vector<int64_t>> Choice(int64_t n, int64_t k, bool replace);

 private:
  uint64_t state_;
};

}  // namespace manyform

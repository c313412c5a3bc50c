/// \file
/// PyTorch's CPU generator, bit for bit, for what published runs draw from it.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/numpy_random.h"

namespace manyform {

/// MT19937 seeded with the low 32 bits of the seed, as torch.Generator().manual_seed(seed). On a GPU PyTorch
/// has another generator. Not thread-safe; copyable.
class TorchCpuRandom {
 public:
  explicit TorchCpuRandom(uint64_t seed) : words_(static_cast<uint32_t>(seed)) {}
  /// Goes on from where `words` is.
  explicit TorchCpuRandom(const NumpyRandomState& words) : words_(words) {}

  /// torch.rand, single precision: in [0,1), 24 bits of one word.
  float Rand() { return static_cast<float>(words_.Next32() & 0xffffff) * 0x1p-24f; }
  /// torch.rand of any shape with n elements, row by row.
  std::vector<float> Rand(int64_t n);
  /// torch.randint(low, high): one word each. \pre low < high, high - low < 2^32
  int64_t RandInt(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(words_.Next32() % static_cast<uint64_t>(high - low));
  }
  std::vector<int64_t> RandInt(int64_t low, int64_t high, int64_t n);
  /// torch.randperm(n): one word for each but the last. \pre 0 <= n < 2^32 / 20
  std::vector<int64_t> RandPerm(int64_t n);

  /// The words it draws, for checkpoints.
  const NumpyRandomState& words() const { return words_; }

 private:
  NumpyRandomState words_;
};

}  // namespace manyform

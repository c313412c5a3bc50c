/// \file
/// NumPy's legacy RandomState, bit for bit: MT19937 and the distributions the published protocol draws from.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace manyform {

/// Not thread-safe; copyable (a copy continues independently from the same state).
class NumpyRandomState {
 public:
  static constexpr int kWords = 624;

  explicit NumpyRandomState(uint32_t seed) { Seed(seed); }
  /// init_genrand; also forgets the cached normal.
  void Seed(uint32_t seed);

  /// The next raw 32-bit word.
  uint32_t Next32() {
    if (state_.pos == kWords) Refill();
    uint32_t y = state_.key[state_.pos++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
  }
  /// In [0,1): 53 bits from two words.
  double Double() {
    const uint32_t a = Next32() >> 5, b = Next32() >> 6;
    return (a * 67108864.0 + b) / 9007199254740992.0;
  }
  double Uniform(double low, double high) { return low + (high - low) * Double(); }
  std::vector<double> Rand(int64_t n);
  std::vector<double> UniformVector(double low, double high, int64_t n);
  /// Uniform on [low, high). One possible value draws nothing. \pre low < high
  int64_t RandInt(int64_t low, int64_t high);
  std::vector<int64_t> RandIntVector(int64_t low, int64_t high, int64_t n);
  /// Standard normal by the polar method; the second of each pair is kept for the next call and survives
  /// other draws.
  double Normal();
  std::vector<double> NormalVector(double mean, double sigma, int64_t n);

  /// Fisher-Yates from the back.
  template <class T>
  void Shuffle(std::span<T> values) {
    size_t i = values.empty() ? 0 : values.size() - 1;
    for (; i > 0xffffffffu; --i) std::swap(values[i], values[Bounded(i)]);
    while (i > 0) {
      // Bounded(i) without its branch, which is taken at random: a refused word swaps an element with itself.
      const uint32_t mask = ~uint32_t{0} >> std::countl_zero(static_cast<uint32_t>(i));
      while (i > mask >> 1) {
        const size_t j = Next32() & mask;
        const bool taken = j <= i;
        std::swap(values[i], values[taken ? j : i]);
        i -= taken;
      }
    }
  }
  std::vector<int64_t> Permutation(int64_t n);
  /// k of [0,n). \error InvalidArgument if n < 1 with k > 0, or k > n without replacement.
  absl::StatusOr<std::vector<int64_t>> Choice(int64_t n, int64_t k, bool replace);
  /// Index into `cumulative`, the normalised running sum of weights (see CumulativeWeights): one double.
  int64_t ChoiceByWeight(std::span<const double> cumulative);

  /// Uniform on [0, max], inclusive, by masked rejection; max = 0 draws nothing.
  uint64_t Bounded(uint64_t max);

  /// The words, the position in them, and the cached normal: for checkpoints.
  struct State {
    std::array<uint32_t, kWords> key;
    int32_t pos;
    bool has_gauss;
    double gauss;
  };
  State state() const { return state_; }
  void set_state(const State& s) { state_ = s; }

 private:
  void Refill();
  State state_;
};

/// Running sum in double divided by its last entry, as RandomState.choice(p=...) forms it from normalised
/// weights. \error InvalidArgument for a negative, non-finite or all-zero weight.
absl::StatusOr<std::vector<double>> CumulativeWeights(std::span<const double> weights);

}  // namespace manyform

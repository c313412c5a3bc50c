#include "base/numpy_random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace manyform {
namespace {

constexpr int kWords = NumpyRandomState::kWords, kShift = 397;

template <class Draw>
auto Repeat(int64_t n, Draw draw) {
  std::vector<decltype(draw())> values(n);
  for (auto& value : values) value = draw();
  return values;
}

}  // namespace

// Matsumoto and Nishimura 1998, init_genrand of 2002.
void NumpyRandomState::Seed(uint32_t seed) {
  for (uint32_t i = 0; i < kWords; ++i) {
    state_.key[i] = seed;
    seed = 1812433253u * (seed ^ (seed >> 30)) + i + 1;
  }
  state_.pos = kWords;
  state_.has_gauss = false;
  state_.gauss = 0;
}

void NumpyRandomState::Refill() {
  std::array<uint32_t, kWords>& key = state_.key;
  const auto twist = [&key](int i, int next, int far) {
    const uint32_t y = (key[i] & 0x80000000u) | (key[next] & 0x7fffffffu);
    key[i] = key[far] ^ (y >> 1) ^ (-(y & 1) & 0x9908b0dfu);
  };
  for (int i = 0; i < kWords - kShift; ++i) twist(i, i + 1, i + kShift);
  for (int i = kWords - kShift; i < kWords - 1; ++i) twist(i, i + 1, i + kShift - kWords);
  twist(kWords - 1, 0, kShift - 1);
  state_.pos = 0;
}

std::vector<double> NumpyRandomState::Rand(int64_t n) {
  return Repeat(n, [this] { return Double(); });
}

std::vector<double> NumpyRandomState::UniformVector(double low, double high, int64_t n) {
  return Repeat(n, [=, this] { return Uniform(low, high); });
}

uint64_t NumpyRandomState::Bounded(uint64_t max) {
  if (max == 0) return 0;
  const uint64_t mask = ~uint64_t{0} >> std::countl_zero(max);
  while (true) {
    uint64_t word = Next32();
    if (max > 0xffffffffu) word = word << 32 | Next32();
    if ((word & mask) <= max) return word & mask;
  }
}

int64_t NumpyRandomState::RandInt(int64_t low, int64_t high) {
  // Unsigned, where the width of any range fits and wrapping is defined.
  const uint64_t width = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  return static_cast<int64_t>(static_cast<uint64_t>(low) + Bounded(width - 1));
}

std::vector<int64_t> NumpyRandomState::RandIntVector(int64_t low, int64_t high, int64_t n) {
  const uint64_t max = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) - 1;
  if (max == 0 || max > 0xffffffffu) return Repeat(n, [=, this] { return RandInt(low, high); });
  // As in Shuffle: a refused word is overwritten by the next.
  const uint32_t mask = ~uint32_t{0} >> std::countl_zero(static_cast<uint32_t>(max));
  std::vector<int64_t> values(n);
  for (int64_t i = 0; i < n;) {
    const uint32_t word = Next32() & mask;
    values[i] = static_cast<int64_t>(static_cast<uint64_t>(low) + word);
    i += word <= max;
  }
  return values;
}

double NumpyRandomState::Normal() {
  if (state_.has_gauss) {
    state_.has_gauss = false;
    return std::exchange(state_.gauss, 0.0);
  }
  double x1, x2, r2;
  do {
    x1 = 2.0 * Double() - 1.0;
    x2 = 2.0 * Double() - 1.0;
    r2 = x1 * x1 + x2 * x2;
  } while (r2 >= 1.0 || r2 == 0.0);
  const double f = std::sqrt(-2.0 * std::log(r2) / r2);
  state_.gauss = f * x1;
  state_.has_gauss = true;
  return f * x2;
}

std::vector<double> NumpyRandomState::NormalVector(double mean, double sigma, int64_t n) {
  return Repeat(n, [=, this] { return mean + sigma * Normal(); });
}

std::vector<int64_t> NumpyRandomState::Permutation(int64_t n) {
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), int64_t{0});
  Shuffle(std::span(order));
  return order;
}

absl::StatusOr<std::vector<int64_t>> NumpyRandomState::Choice(int64_t n, int64_t k, bool replace) {
  if (n < 0 || k < 0 || (n == 0 && k > 0)) {
    return absl::InvalidArgumentError(absl::StrCat("cannot choose ", k, " of ", n));
  }
  if (!replace && k > n) {
    return absl::InvalidArgumentError(absl::StrCat("cannot choose ", k, " of ", n, " without replacement"));
  }
  if (replace) return k == 0 ? std::vector<int64_t>() : RandIntVector(0, n, k);
  if (n > 0x7fffffff) {
    std::vector<int64_t> order = Permutation(n);
    order.resize(k);
    return order;
  }
  // Half the memory of a Permutation: n may be far larger than k.
  std::vector<int32_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  Shuffle(std::span(order));
  return std::vector<int64_t>(order.begin(), order.begin() + k);
}

int64_t NumpyRandomState::ChoiceByWeight(std::span<const double> cumulative) {
  return std::upper_bound(cumulative.begin(), cumulative.end(), Double()) - cumulative.begin();
}

absl::StatusOr<std::vector<double>> CumulativeWeights(std::span<const double> weights) {
  std::vector<double> sums(weights.size());
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!std::isfinite(weights[i]) || weights[i] < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("weight ", i, " is ", weights[i], ", expected a finite number of at least 0"));
    }
    sums[i] = sum += weights[i];
  }
  if (!(sum > 0) || !std::isfinite(sum)) {
    return absl::InvalidArgumentError(absl::StrCat("weights sum to ", sum, ", expected a positive number"));
  }
  for (double& value : sums) value /= sum;
  return sums;
}

}  // namespace manyform

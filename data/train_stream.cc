#include "data/train_stream.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"

namespace manyform {
namespace {

constexpr uint64_t kGamma = 0x9e3779b97f4a7c15;

uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// 0, 1, 2, ... of at least n entries, shared by the draws of a thread: each leaves it as it was.
std::vector<int32_t>& Identity(int64_t n) {
  thread_local std::vector<int32_t> identity;
  if (const size_t old = identity.size(); old < static_cast<size_t>(n)) {
    identity.resize(n);
    std::iota(identity.begin() + old, identity.end(), static_cast<int32_t>(old));
  }
  return identity;
}

// The first k steps of Fisher and Yates' shuffle, then undone.
std::vector<int64_t> FirstOfShuffle(int64_t n, int64_t k, TrainStream& stream) {
  std::vector<int32_t>& order = Identity(n);
  std::vector<int64_t> chosen(k), swapped(k);
  for (int64_t i = 0; i < k; ++i) {
    swapped[i] = i + static_cast<int64_t>(stream.Below(n - i));
    std::swap(order[i], order[swapped[i]]);
    chosen[i] = order[i];
  }
  for (int64_t i = k; i-- > 0;) std::swap(order[i], order[swapped[i]]);
  return chosen;
}

}  // namespace

TrainStream::TrainStream(uint64_t seed, int64_t epoch, int64_t draw)
    : state_(Mix(Mix(Mix(seed + kGamma) + static_cast<uint64_t>(epoch) + kGamma) +
                 static_cast<uint64_t>(draw) + kGamma)) {}

uint64_t TrainStream::Next() { return Mix(state_ += kGamma); }

uint64_t TrainStream::Below(uint64_t n) {
  auto wide = static_cast<unsigned __int128>(Next()) * n;
  if (static_cast<uint64_t>(wide) < n) {
    const uint64_t reject = -n % n;
    while (static_cast<uint64_t>(wide) < reject) wide = static_cast<unsigned __int128>(Next()) * n;
  }
  return static_cast<uint64_t>(wide >> 64);
}

double TrainStream::Normal() {
  const double radius = std::sqrt(-2 * std::log(1 - Double()));
  return radius * std::cos(2 * M_PI * Double());
}

absl::StatusOr<std::vector<int64_t>> TrainStream::Choice(int64_t n, int64_t k, bool replace) {
  if (n < 0 || k < 0 || (n == 0 && k > 0) || (!replace && k > n) || n > INT32_MAX) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot choose ", k, " of ", n, replace ? "" : " without replacement"));
  }
  if (!replace) return FirstOfShuffle(n, k, *this);
  std::vector<int64_t> chosen(k);
  for (int64_t& index : chosen) index = static_cast<int64_t>(Below(n));
  return chosen;
}

}  // namespace manyform

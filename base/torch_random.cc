#include "base/torch_random.h"

#include <numeric>

namespace manyform {

std::vector<float> TorchCpuRandom::Rand(int64_t n) {
  std::vector<float> values(n);
  for (float& value : values) value = Rand();
  return values;
}

std::vector<int64_t> TorchCpuRandom::RandInt(int64_t low, int64_t high, int64_t n) {
  std::vector<int64_t> values(n);
  for (int64_t& value : values) value = RandInt(low, high);
  return values;
}

std::vector<int64_t> TorchCpuRandom::RandPerm(int64_t n) {
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), int64_t{0});
  for (int64_t i = 0; i + 1 < n; ++i) std::swap(order[i], order[RandInt(i, n)]);
  return order;
}

}  // namespace manyform

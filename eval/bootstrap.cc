#include "eval/bootstrap.h"

#include <algorithm>
#include <cmath>

#include "base/numpy_random.h"

namespace manyform {
namespace {

double Percentile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - std::floor(at)) * (sorted[high] - sorted[low]);
}

}  // namespace

std::vector<Interval> BootstrapMeans(std::span<const std::vector<double>> columns, int64_t resamples,
                                     uint32_t seed) {
  const size_t n = columns[0].size();
  NumpyRandomState random(seed);
  std::vector<std::vector<double>> means(columns.size());
  std::vector<uint32_t> times(n);
  for (int64_t r = 0; r < resamples; ++r) {
    std::fill(times.begin(), times.end(), 0);
    for (size_t i = 0; i < n; ++i) ++times[uint64_t{random.Next32()} * n >> 32];
    for (size_t c = 0; c < columns.size(); ++c) {
      double sum = 0;
      for (size_t i = 0; i < n; ++i) sum += times[i] * columns[c][i];
      means[c].push_back(sum / static_cast<double>(n));
    }
  }
  std::vector<Interval> intervals;
  for (std::vector<double>& column : means) {
    std::sort(column.begin(), column.end());
    intervals.push_back({Percentile(column, 0.025), Percentile(column, 0.975)});
  }
  return intervals;
}

}  // namespace manyform

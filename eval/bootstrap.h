/// \file
/// How far a mean over shapes would move with other shapes: percentile bootstrap (Efron 1979).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace manyform {

struct Interval {
  double low = 0, high = 0;
};

/// 95 % intervals of the means of `columns`, which have a value for each shape: percentiles 2.5 and 97.5
/// (linear between order statistics) over `resamples` draws of as many shapes with replacement, the same for
/// all columns. `seed` decides them. \pre resamples > 0; columns of one size, not empty
std::vector<Interval> BootstrapMeans(std::span<const std::vector<double>> columns, int64_t resamples,
                                     uint32_t seed);

}  // namespace manyform

#include "eval/bootstrap.h"

#include <cmath>
#include <vector>

#include "base/numpy_random.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Columns = std::vector<std::vector<double>>;

TEST(BootstrapMeans, OfNormalValuesAreAboutTwoStandardErrors) {
  constexpr int64_t n = 2000;
  NumpyRandomState random(1);
  const Columns columns = {random.NormalVector(3, 1, n), random.NormalVector(0, 5, n)};
  const std::vector<Interval> intervals = BootstrapMeans(columns, 2000, 7);
  for (size_t c = 0; c < 2; ++c) {
    double mean = 0, squares = 0;
    for (const double value : columns[c]) mean += value / n;
    for (const double value : columns[c]) squares += (value - mean) * (value - mean) / n;
    const double reach = 1.96 * std::sqrt(squares / n);
    EXPECT_NEAR(intervals[c].low, mean - reach, 0.1 * reach);
    EXPECT_NEAR(intervals[c].high, mean + reach, 0.1 * reach);
  }
}

TEST(BootstrapMeans, ColumnsShareTheirDraws) {
  NumpyRandomState random(2);
  const std::vector<double> values = random.NormalVector(0, 1, 50);
  std::vector<double> shifted = values;
  for (double& value : shifted) value = 2 * value + 1;
  const std::vector<Interval> both = BootstrapMeans(Columns{values, shifted}, 100, 3);
  EXPECT_NEAR(both[1].low, 2 * both[0].low + 1, 1e-12);
  EXPECT_NEAR(both[1].high, 2 * both[0].high + 1, 1e-12);
  const std::vector<Interval> again = BootstrapMeans(Columns{values}, 100, 3);
  EXPECT_EQ(again[0].low, both[0].low);
  EXPECT_NE(BootstrapMeans(Columns{values}, 100, 4)[0].low, both[0].low);
}

TEST(BootstrapMeans, OneShapeOrEqualOnesHaveNoWidth) {
  for (const size_t n : {1u, 9u}) {
    const Interval interval = BootstrapMeans(Columns{std::vector<double>(n, 0.25)}, 10, 1)[0];
    EXPECT_EQ(interval.low, 0.25);
    EXPECT_EQ(interval.high, 0.25);
  }
}

}  // namespace
}  // namespace manyform

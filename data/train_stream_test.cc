#include "data/train_stream.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "gtest/gtest.h"

namespace manyform {
namespace {

// Chi-squared of counts against equal shares, standardised; about N(0,1) for many cells.
double Excess(const std::vector<int64_t>& counts) {
  double n = 0, chi = 0;
  for (const int64_t c : counts) n += static_cast<double>(c);
  const double expected = n / static_cast<double>(counts.size());
  for (const int64_t c : counts) chi += (c - expected) * (c - expected) / expected;
  const double freedom = static_cast<double>(counts.size()) - 1;
  return (chi - freedom) / std::sqrt(2 * freedom);
}

TEST(TrainStream, IsAFunctionOfItsKey) {
  std::set<uint64_t> first;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    for (int64_t epoch = 0; epoch < 10; ++epoch) {
      for (int64_t draw = 0; draw < 10; ++draw) {
        TrainStream a(seed, epoch, draw), b(seed, epoch, draw);
        const uint64_t word = a.Next();
        EXPECT_EQ(word, b.Next());
        first.insert(word);
      }
    }
  }
  EXPECT_EQ(first.size(), 1000u);
}

TEST(TrainStream, BelowIsUniformOverDrawsOfOneEpoch) {
  // First words of neighbouring keys, which is how training uses it.
  std::vector<int64_t> counts(101);
  for (int64_t draw = 0; draw < 200000; ++draw) ++counts[TrainStream(7, 3, draw).Below(101)];
  EXPECT_LT(std::abs(Excess(counts)), 5);
}

TEST(TrainStream, DoublesFillTheUnitInterval) {
  TrainStream stream(1, 1, 1);
  std::vector<int64_t> counts(64);
  for (int i = 0; i < 100000; ++i) {
    const double x = stream.Double();
    ASSERT_GE(x, 0);
    ASSERT_LT(x, 1);
    ++counts[static_cast<int>(x * 64)];
  }
  EXPECT_LT(std::abs(Excess(counts)), 5);
}

// Every ordered pair of five is as likely as any other.
TEST(TrainStream, ChoiceWithoutReplacementIsAShufflesBeginning) {
  std::vector<int64_t> pairs(25);
  for (int64_t draw = 0; draw < 100000; ++draw) {
    const std::vector<int64_t> c = *TrainStream(0, 0, draw).Choice(5, 2, false);
    ASSERT_NE(c[0], c[1]);
    ++pairs[c[0] * 5 + c[1]];
  }
  std::vector<int64_t> counts;
  for (int i = 0; i < 25; ++i) {
    if (i % 6 != 0) counts.push_back(pairs[i]);
  }
  EXPECT_LT(std::abs(Excess(counts)), 5);
}

TEST(TrainStream, ChoiceOfAllIsAPermutation) {
  // Pools of changing size on one thread share their scratch memory.
  for (const int64_t n : {1, 1000, 7, 5000, 64}) {
    TrainStream stream(2, 0, n);
    const std::vector<int64_t> all = *stream.Choice(n, n, false);
    EXPECT_EQ(std::set<int64_t>(all.begin(), all.end()).size(), static_cast<size_t>(n));
    EXPECT_EQ(*std::max_element(all.begin(), all.end()), n - 1);
  }
}

TEST(TrainStream, ChoiceWithReplacementCoversThePool) {
  std::vector<int64_t> counts(13);
  const std::vector<int64_t> chosen = *TrainStream(4, 4, 4).Choice(13, 100000, true);
  for (const int64_t i : chosen) ++counts[i];
  EXPECT_LT(std::abs(Excess(counts)), 5);
}

TEST(TrainStream, NormalsAreNormal) {
  TrainStream stream(5, 5, 5);
  constexpr int kDraws = 200000;
  double moments[4] = {};
  int beyond = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = stream.Normal();
    for (int k = 0; k < 4; ++k) moments[k] += std::pow(x, k + 1) / kDraws;
    beyond += std::abs(x) > 1.959964;
  }
  // Five standard errors each.
  EXPECT_NEAR(moments[0], 0, 5 * std::sqrt(1.0 / kDraws));
  EXPECT_NEAR(moments[1], 1, 5 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(moments[2], 0, 5 * std::sqrt(15.0 / kDraws));
  EXPECT_NEAR(moments[3], 3, 5 * std::sqrt(96.0 / kDraws));
  EXPECT_NEAR(beyond / static_cast<double>(kDraws), 0.05, 5 * std::sqrt(0.05 * 0.95 / kDraws));
}

TEST(TrainStream, ImpossibleChoicesAreErrors) {
  TrainStream stream(0, 0, 0);
  EXPECT_FALSE(stream.Choice(3, 4, false).ok());
  EXPECT_FALSE(stream.Choice(0, 1, true).ok());
  EXPECT_FALSE(stream.Choice(-1, 0, true).ok());
  EXPECT_TRUE(stream.Choice(0, 0, false)->empty());
}

}  // namespace
}  // namespace manyform

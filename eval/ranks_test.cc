#include "eval/ranks.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "ATen/ATen.h"
#include "base/numpy_random.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

at::Tensor RandomRows(int64_t n, int64_t d, uint32_t seed) {
  NumpyRandomState random(seed);
  at::Tensor rows = at::empty({n, d});
  float* data = rows.mutable_data_ptr<float>();
  for (int64_t i = 0; i < n * d; ++i) data[i] = static_cast<float>(random.Normal());
  return rows;
}

TEST(RankOf, AgreesWithAStableSort) {
  NumpyRandomState random(3);
  for (int round = 0; round < 200; ++round) {
    const int64_t n = random.RandInt(1, 30);
    std::vector<float> scores;
    for (int64_t i = 0; i < n; ++i) scores.push_back(static_cast<float>(random.RandInt(0, 6)));  // many ties
    std::vector<int64_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
    for (int64_t place = 0; place < n; ++place) EXPECT_EQ(RankOf(scores, order[place]), place + 1);
    EXPECT_EQ(BestItems(scores, n + 3), order);
    EXPECT_EQ(BestItems(scores, n / 2), std::vector<int64_t>(order.begin(), order.begin() + n / 2));
  }
}

// 600 queries are three blocks; the brute force has one row of noise after another and no blocks.
TEST(RankTrueItems, BlocksAndNoiseAgreeWithBruteForce) {
  constexpr int64_t n = 600, d = 9;
  const at::Tensor query = RandomRows(n, d, 1), gallery = RandomRows(n, d, 2);
  RankOptions options = {.tie_break_eps = 0.5, .noise_seed = 11, .nearest = 5, .hardest = 7};
  for (int64_t i = 0; i < n; i += 2) options.listed_queries.push_back(i);
  const Ranking ranking = RankTrueItems(query, gallery, options);
  ASSERT_EQ(ranking.ranks.size(), n);
  ASSERT_EQ(ranking.listed.size(), 300);
  ASSERT_EQ(ranking.hardest.size(), 7);
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return ranking.ranks[a] > ranking.ranks[b]; });
  for (size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(ranking.hardest[i].query, order[i]);
    EXPECT_EQ(ranking.hardest[i].rank, ranking.ranks[order[i]]);
    EXPECT_EQ(ranking.hardest[i].nearest.size(), 5);
  }

  NumpyRandomState random(11);
  const std::vector<double> noise = random.NormalVector(0, 1, n * n);
  const float* q = query.const_data_ptr<float>();
  const float* g = gallery.const_data_ptr<float>();
  int64_t close_calls = 0;
  for (int64_t i = 0; i < n; ++i) {
    std::vector<double> scores(n);
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t k = 0; k < d; ++k) scores[j] += double{q[i * d + k]} * double{g[j * d + k]};
      scores[j] += 0.5 * noise[i * n + j];
    }
    int64_t higher = 0, near = 0;
    for (int64_t j = 0; j < n; ++j) {
      if (j == i) continue;
      higher += scores[j] > scores[i];
      near += std::abs(scores[j] - scores[i]) < 1e-5;
    }
    EXPECT_NEAR(ranking.ranks[i], higher + 1, near) << "query " << i;
    close_calls += near;
    if (i % 2 == 0 && near == 0 && ranking.ranks[i] <= 5) {
      EXPECT_EQ(ranking.listed[i / 2].nearest[ranking.ranks[i] - 1], i);
    }
  }
  EXPECT_LT(close_calls, 40) << "the comparison would prove little";
}

TEST(RankTrueItems, PerfectAndConstantEmbeddings) {
  const at::Tensor eye = at::eye(40);
  for (const int64_t rank : RankTrueItems(eye, eye, {}).ranks) EXPECT_EQ(rank, 1);
  const at::Tensor ones = at::ones({40, 3});
  const Ranking tied = RankTrueItems(ones, ones, {});
  for (int64_t i = 0; i < 40; ++i) EXPECT_EQ(tied.ranks[i], i + 1) << "equal scores keep their order";
}

TEST(Summarize, ByHand) {
  const std::vector<int64_t> ranks = {1, 2, 10, 11};
  const RetrievalScores scores = Summarize(ranks);
  EXPECT_DOUBLE_EQ(scores.recall_at_1, 0.25);
  EXPECT_DOUBLE_EQ(scores.recall_at_5, 0.5);
  EXPECT_DOUBLE_EQ(scores.recall_at_10, 0.75);
  EXPECT_DOUBLE_EQ(scores.mrr, (1 + 0.5 + 0.1 + 1.0 / 11) / 4);
  EXPECT_DOUBLE_EQ(scores.mean_rank, 6);
  EXPECT_DOUBLE_EQ(scores.median_rank, 6);
  EXPECT_DOUBLE_EQ(Summarize(std::vector<int64_t>{3, 1, 9}).median_rank, 3);
}

// Every rank is equally likely in a random order, so chance is the summary of 1..n.
TEST(ExpectedByChance, IsTheSummaryOfAllRanks) {
  for (const int64_t n : {1, 3, 5, 7, 10, 40, 1000}) {
    std::vector<int64_t> ranks(n);
    std::iota(ranks.begin(), ranks.end(), 1);
    const RetrievalScores all = Summarize(ranks), chance = ExpectedByChance(n);
    EXPECT_NEAR(chance.recall_at_1, all.recall_at_1, 1e-12);
    EXPECT_NEAR(chance.recall_at_5, all.recall_at_5, 1e-12);
    EXPECT_NEAR(chance.recall_at_10, all.recall_at_10, 1e-12);
    EXPECT_NEAR(chance.mrr, all.mrr, 1e-12);
    EXPECT_NEAR(chance.mean_rank, all.mean_rank, 1e-12);
    EXPECT_NEAR(chance.median_rank, all.median_rank, 1e-12);
  }
}

}  // namespace
}  // namespace manyform

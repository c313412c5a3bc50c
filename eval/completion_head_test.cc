#include "eval/completion_head.h"

#include <algorithm>
#include <set>
#include <vector>

#include "ATen/ATen.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr int64_t kShapes = 6, kQueries = 10, kFeatures = 3;

struct Data {
  std::vector<CompletionSample> samples;
  at::Tensor states;  // (kShapes kQueries, kFeatures)
};

/// Distances that are linear in the states: 0.5 + sum of them.
Data Linear(uint32_t seed) {
  NumpyRandomState random(seed);
  Data data = {std::vector<CompletionSample>(kShapes), at::empty({kShapes * kQueries, kFeatures})};
  for (int64_t s = 0; s < kShapes; ++s) {
    data.samples[s].query_xyz.resize(kQueries, 3);
    for (int64_t q = 0; q < kQueries; ++q) {
      float sum = 0.5f;
      for (int64_t k = 0; k < kFeatures; ++k) {
        const auto value = static_cast<float>(random.Uniform(0, 1));
        data.states[s * kQueries + q][k] = value;
        data.samples[s].query_xyz(q, k) = value;
        sum += value;
      }
      data.samples[s].query_distance.push_back(sum);
    }
  }
  return data;
}

FittedHead Fit(const Data& data, const HeadOptions& options, int64_t block, HeadRows* rows = nullptr) {
  HeadBuilder builder(options, kShapes, kQueries, kFeatures);
  builder.Record(rows);
  for (int64_t first = 0; first < kShapes; first += block) {
    const int64_t n = std::min(block, kShapes - first);
    builder.Add(first, std::span(data.samples).subspan(first, n),
                data.states.narrow(0, first * kQueries, n * kQueries));
  }
  auto head = builder.Finish();
  EXPECT_TRUE(head.ok()) << head.status();
  return *std::move(head);
}

TEST(HeadBuilder, FindsALinearFieldInAnyBlocks) {
  const Data data = Linear(1);
  for (const int64_t block : {1, 4, 6}) {
    const FittedHead head = Fit(data, {.ridge_lambda = 1e-9}, block);
    EXPECT_EQ(head.rows, kShapes * kQueries);
    for (int64_t k = 0; k < kFeatures; ++k) EXPECT_NEAR(head.weights[k].item<float>(), 1, 1e-4);
    EXPECT_NEAR(head.weights[kFeatures].item<float>(), 0.5, 1e-4);
    EXPECT_FALSE(head.lipschitz.has_value());
  }
}

TEST(HeadBuilder, TakesTheFirstRowsOfAPermutation) {
  const Data data = Linear(2);
  HeadRows rows;
  const FittedHead head = Fit(data, {.ridge_lambda = 1e-9, .most_rows = 17, .row_seed = 5}, 2, &rows);
  EXPECT_EQ(head.rows, 17);
  std::vector<int64_t> order = NumpyRandomState(5).Permutation(kShapes * kQueries);
  order.resize(17);
  std::multiset<float> expected;
  for (const int64_t row : order)
    expected.insert(data.samples[row / kQueries].query_distance[row % kQueries]);
  EXPECT_EQ(std::multiset<float>(rows.y.begin(), rows.y.end()), expected);
  EXPECT_EQ(at::cat(rows.x).size(0), 17);
}

TEST(HeadBuilder, FitsTheTransformedTarget) {
  const Data data = Linear(3);
  HeadRows rows;
  const TargetTransform trunc = *ParseTargetTransform("trunc", 1.0, 1);
  Fit(data, {.transform = trunc}, 3, &rows);
  EXPECT_EQ(*std::max_element(rows.y.begin(), rows.y.end()), 1.0f);
}

TEST(HeadBuilder, RefinesOnTheRowsItMayLookAt) {
  const Data data = Linear(4);  // slope sqrt(3) along the diagonal
  HeadOptions options = {.lipschitz = LipschitzOptions{.weight = 5, .pairs = 100, .steps = 20}};
  const FittedHead all = Fit(data, options, 2);
  ASSERT_TRUE(all.lipschitz.has_value());
  EXPECT_TRUE(all.lipschitz->refined);
  EXPECT_EQ(all.lipschitz->shapes, kShapes);
  const FittedHead again = Fit(data, options, 5);
  EXPECT_LE((all.weights - again.weights).abs().max().item<float>(), 1e-5) << "whatever the blocks";
  options.lipschitz_rows = 13;
  const FittedHead few = Fit(data, options, 2);
  EXPECT_EQ(few.rows, 13);
  EXPECT_GT((all.weights - few.weights).abs().max().item<float>(), 1e-5);
}

TEST(HeadBuilder, NeedsRows) {
  HeadBuilder builder({}, kShapes, kQueries, kFeatures);
  EXPECT_EQ(builder.Finish().status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace manyform

#include "eval/lipschitz.h"

#include <cmath>
#include <vector>

#include "ATen/ATen.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

/// Two shapes of n points each on a line, one feature: the point's place. The truth has slope 1.
LipschitzRows Line(int64_t n) {
  LipschitzRows rows = {at::empty({2 * n, 1}), at::zeros({2 * n, 3}), {}, {}};
  for (int64_t i = 0; i < 2 * n; ++i) {
    const auto x = static_cast<float>(i % n) / static_cast<float>(n);
    rows.x[i][0] = x;
    rows.xyz[i][0] = x;
    rows.target.push_back(x);
    rows.shape.push_back(i / n);
  }
  return rows;
}

at::Tensor Head(float slope, float bias) {
  at::Tensor head = at::empty({2});
  head[0] = slope;
  head[1] = bias;
  return head;
}

TEST(RefineLipschitz, LeavesAHeadThatKeepsTheBound) {
  at::Tensor head = Head(0.9f, 0.1f);
  NumpyRandomState random(1);
  const auto report = RefineLipschitz(Line(20), {.weight = 10, .pairs = 64, .steps = 5}, random, &head);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->shapes, 2);
  EXPECT_EQ(report->at_start, 0);
  EXPECT_FALSE(report->refined);
  EXPECT_TRUE(at::equal(head, Head(0.9f, 0.1f)));
}

TEST(RefineLipschitz, FlattensOneThatBreaksIt) {
  at::Tensor head = Head(3.0f, 0.0f);
  NumpyRandomState random(2);
  const LipschitzOptions options = {
      .weight = 10, .ridge_lambda = 0, .pairs = 64, .steps = 600, .learning_rate = 0.01};
  const auto report = RefineLipschitz(Line(20), options, random, &head);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->refined);
  EXPECT_GT(report->at_start, 0.1);
  EXPECT_LT(report->violation, 0.05 * report->at_start);
  EXPECT_NEAR(head[0].item<float>(), 1, 0.1);
  EXPECT_NEAR(report->loss, report->mse + report->ridge + 10 * report->violation, 1e-9);
}

// The gradient by autograd of the same loss, over all pairs that were drawn, one step: Adam's first step has
// length learning_rate against the gradient's sign.
TEST(RefineLipschitz, StepsAgainstTheGradient) {
  const LipschitzRows rows = Line(7);
  const LipschitzOptions options = {
      .weight = 0.5, .ridge_lambda = 0.1, .pairs = 5, .steps = 1, .learning_rate = 0.25};
  for (uint32_t seed = 0; seed < 20; ++seed) {
    NumpyRandomState random(seed), same(seed);
    const float slope = 1.0f + 0.2f * static_cast<float>(seed),
                bias = 0.3f - 0.05f * static_cast<float>(seed);
    at::Tensor head = Head(slope, bias);
    const auto report = RefineLipschitz(rows, options, random, &head);
    ASSERT_TRUE(report.ok());
    if (!report->refined) continue;
    double in_slope = 2 * 0.1 * slope, in_bias = 0, violation = 0;
    for (int round = 0; round < 2; ++round) {
      for (int p = 0; p < 5; ++p) {
        const int64_t shape = same.RandInt(0, 2);
        const std::vector<int64_t> two = *same.Choice(7, 2, false);
        if (round == 0) continue;  // the test before the steps
        const double apart = std::abs(static_cast<double>(two[0] - two[1])) / 7;
        EXPECT_LT(shape, 2);
        if (slope * apart - apart <= 0) continue;
        violation += (slope - 1) * apart / 5;
        in_slope += 0.5 * apart / 5;
      }
    }
    for (int i = 0; i < 14; ++i) {
      const double x = (i % 7) / 7.0, residual = slope * x + bias - x;
      in_slope += 2 * residual * x / 14;
      in_bias += 2 * residual / 14;
    }
    EXPECT_NEAR(report->violation, violation, 1e-6);
    EXPECT_NEAR(head[0].item<float>(), slope - std::copysign(0.25, in_slope), 1e-4) << seed;
    EXPECT_NEAR(head[1].item<float>(), bias - std::copysign(0.25, in_bias), 1e-4) << seed;
  }
}

TEST(RefineLipschitz, SaysWhatItCannotDo) {
  LipschitzRows rows = Line(1);  // one row a shape
  at::Tensor head = Head(3, 0);
  NumpyRandomState random(3);
  EXPECT_EQ(RefineLipschitz(rows, {}, random, &head).status().code(), absl::StatusCode::kFailedPrecondition);
  rows = Line(20);
  rows.target[3] = NAN;
  EXPECT_EQ(RefineLipschitz(rows, {.weight = 1}, random, &head).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace manyform

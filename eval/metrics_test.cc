#include "eval/metrics.h"

#include <cmath>
#include <limits>
#include <vector>

#include "base/numpy_random.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(CompareDistances, ByHand) {
  const std::vector<float> truth = {0.0f, 0.25f, 1.0f, 0.5f};
  const std::vector<float> predicted = {0.5f, 0.25f, 0.0f, 0.5f};
  const FieldError error = CompareDistances(predicted, truth, 0.25f);
  EXPECT_EQ(error.n, 4);
  EXPECT_DOUBLE_EQ(error.mae, 1.5 / 4);
  EXPECT_DOUBLE_EQ(error.rmse, std::sqrt(1.25 / 4));
  EXPECT_NEAR(error.iou, 1.0 / 3, 1e-9);  // {0, 1} and {1, 2}
}

TEST(CompareDistances, NearKeepsTheBorder) {
  const std::vector<float> truth = {0.05f, 0.0500001f, 0.01f};
  const std::vector<float> predicted = {0.0f, 9.0f, 0.01f};
  const FieldError error = CompareNearDistances(predicted, truth, 0.03f, 0.05f);
  EXPECT_EQ(error.n, 2);
  EXPECT_DOUBLE_EQ(error.mae, double{0.05f} / 2);
  EXPECT_NEAR(error.iou, 0.5, 1e-9);
}

TEST(CompareDistances, NothingToCompareIsNotZeroError) {
  const FieldError none = CompareDistances({}, {}, 0.03f);
  EXPECT_EQ(none.n, 0);
  EXPECT_TRUE(std::isnan(none.mae) && std::isnan(none.rmse) && std::isnan(none.iou));
  const std::vector<float> truth = {1.0f}, predicted = {1.0f};
  EXPECT_TRUE(std::isnan(CompareNearDistances(predicted, truth, 0.03f, 0.5f).mae));
  EXPECT_EQ(CompareDistances(predicted, truth, 0.03f).iou, 0) << "two empty sets";
}

TEST(CompareDistances, RandomFieldsKeepTheInequalities) {
  NumpyRandomState random(7);
  for (int round = 0; round < 50; ++round) {
    const int64_t n = random.RandInt(1, 400);
    std::vector<float> truth, predicted;
    for (int64_t i = 0; i < n; ++i) {
      truth.push_back(static_cast<float>(random.Double()));
      predicted.push_back(static_cast<float>(random.Double()));
    }
    const FieldError error = CompareDistances(predicted, truth, 0.4f);
    EXPECT_LE(error.mae, error.rmse * (1 + 1e-12));
    EXPECT_LE(error.rmse, 1.0);
    EXPECT_GE(error.iou, 0.0);
    EXPECT_LE(error.iou, 1.0);
    const FieldError swapped = CompareDistances(truth, predicted, 0.4f);
    EXPECT_DOUBLE_EQ(error.mae, swapped.mae);
    EXPECT_DOUBLE_EQ(error.iou, swapped.iou);
    const FieldError self = CompareDistances(truth, truth, 2.0f);
    EXPECT_EQ(self.mae, 0);
    EXPECT_NEAR(self.iou, 1.0, 1e-8);
  }
}

}  // namespace
}  // namespace manyform

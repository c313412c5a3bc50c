#include "eval/target_transform.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(TargetTransform, NoneIsTheDistance) {
  const TargetTransform none = *ParseTargetTransform("none", -1, -1);
  for (const float d : {0.0f, 0.2f, 3.0f}) EXPECT_EQ(none.Inverse(none.Forward(d)), d);
}

TEST(TargetTransform, TruncationKeepsNearDistancesAndHasNoInverse) {
  const TargetTransform trunc = *ParseTargetTransform("trunc", 0.1, 0);
  EXPECT_EQ(trunc.Forward(std::vector<float>{0.0f, 0.05f, 0.1f, 0.7f}),
            (std::vector<float>{0.0f, 0.05f, 0.1f, 0.1f}));
  EXPECT_EQ(trunc.Inverse(0.1f), 0.1f);
}

TEST(TargetTransform, LogarithmIsMonotoneAndComesBack) {
  const TargetTransform log = *ParseTargetTransform("log1p", 0, 0.03);
  EXPECT_EQ(log.Forward(0.0f), 0.0f);
  EXPECT_NEAR(log.Forward(0.03f), std::log(2.0), 1e-6);
  float before = -1;
  for (float d = 0; d < 2; d += 0.01f) {
    EXPECT_GT(log.Forward(d), before);
    before = log.Forward(d);
    EXPECT_NEAR(log.Inverse(std::vector<float>{before})[0], d, 1e-6 * (1 + d / 0.03));
  }
}

TEST(TargetTransform, RefusesWhatIsNone) {
  const auto code = [](const char* name, double trunc, double log) {
    return ParseTargetTransform(name, trunc, log).status().code();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code("square", 1, 1), kInvalid);
  EXPECT_EQ(code("trunc", 0, 1), kInvalid);
  EXPECT_EQ(code("log1p", 1, std::numeric_limits<double>::quiet_NaN()), kInvalid);
}

}  // namespace
}  // namespace manyform

#include "base/status_macros.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace manyform {
namespace {

absl::StatusOr<std::unique_ptr<int>> Half(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError("odd");
  return std::make_unique<int>(value / 2);
}

absl::StatusOr<int> Quarter(int value, int* reached) {
  MF_ASSIGN_OR_RETURN(const std::unique_ptr<int> half, Half(value));
  *reached = 1;
  MF_ASSIGN_OR_RETURN(std::unique_ptr<int> quarter, Half(*half));
  *reached = 2;
  return *quarter;
}

absl::Status Check(int value, bool* reached) {
  if (value > 0) MF_RETURN_IF_ERROR(Half(value).status());
  *reached = true;
  return absl::OkStatus();
}

TEST(AssignOrReturn, AssignsOrReturns) {
  int reached = 0;
  EXPECT_EQ(*Quarter(8, &reached), 2);
  EXPECT_EQ(reached, 2);
  reached = 0;
  EXPECT_EQ(Quarter(6, &reached).status(), absl::InvalidArgumentError("odd"));
  EXPECT_EQ(reached, 1);
}

TEST(ReturnIfError, ReturnsOrGoesOn) {
  bool reached = false;
  EXPECT_EQ(Check(3, &reached), absl::InvalidArgumentError("odd"));
  EXPECT_FALSE(reached);
  EXPECT_TRUE(Check(4, &reached).ok());
  EXPECT_TRUE(reached);
}

}  // namespace
}  // namespace manyform

#include "model/classifier_head.h"

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(ClassifierHeadTest, FreshOnesAreLinearsDefault) {
  const ClassifierHead head(64, 50, 3);
  const at::Tensor weight = head.parameters()[0].second.detach();
  EXPECT_EQ(weight.sizes(), (std::vector<int64_t>{50, 64}));
  // Uniform on +-1/8.
  EXPECT_LE(weight.abs().max().item<double>(), 0.125);
  EXPECT_GT(weight.abs().max().item<double>(), 0.124);
  EXPECT_NEAR(weight.std().item<double>(), 0.125 / std::sqrt(3.0), 2e-3);
  EXPECT_TRUE(weight.equal(ClassifierHead(64, 50, 3).parameters()[0].second));
  EXPECT_FALSE(weight.equal(ClassifierHead(64, 50, 4).parameters()[0].second));
  EXPECT_FALSE(ClassifierHead::FromTensors(64, 51, head.parameters()).ok());
}

}  // namespace
}  // namespace manyform

#include "model/feed_forward.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <vector>

#include "gtest/gtest.h"

namespace manyform {
namespace {

std::vector<at::Tensor> Inputs(at::IntArrayRef shape) {
  at::manual_seed(3);
  std::vector<at::Tensor> inputs = {at::randn(shape, at::kDouble), at::randn({12, 5}, at::kDouble),
                                    at::randn({12}, at::kDouble), at::randn({5, 12}, at::kDouble),
                                    at::randn({5}, at::kDouble)};
  for (at::Tensor& tensor : inputs) tensor.set_requires_grad(true);
  return inputs;
}

TEST(FeedForwardTest, ValuesAndGradientsAreThoseOfThePlainOperators) {
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{2, 3, 5}, {7, 5}}) {
    const std::vector<at::Tensor> ours = Inputs(shape), plain = Inputs(shape);
    const at::Tensor a = FeedForward(ours[0], ours[1], ours[2], ours[3], ours[4]);
    const at::Tensor b = at::linear(at::gelu(at::linear(plain[0], plain[1], plain[2])), plain[3], plain[4]);
    EXPECT_TRUE(a.equal(b));
    const at::Tensor weights = at::linspace(-1, 2, a.numel(), at::kDouble).view(a.sizes());
    (a * weights).sum().backward();
    (b * weights).sum().backward();
    for (size_t i = 0; i < ours.size(); ++i)
      EXPECT_LT((ours[i].grad() - plain[i].grad()).abs().max().item<double>(), 1e-12) << i;
  }
}

TEST(FeedForwardTest, FrozenWeightsAndNoGrad) {
  std::vector<at::Tensor> inputs = Inputs({4, 5});
  for (size_t i = 1; i < inputs.size(); ++i) inputs[i].set_requires_grad(false);
  FeedForward(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4]).sum().backward();
  EXPECT_TRUE(inputs[0].grad().defined());
  EXPECT_FALSE(inputs[1].grad().defined());
  const at::NoGradGuard no_grad;
  EXPECT_FALSE(FeedForward(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4]).requires_grad());
}

}  // namespace
}  // namespace manyform

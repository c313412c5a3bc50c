#include "model/precision.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "model/feed_forward.h"
#include "model/query_transformer.h"
#include "model/testing/golden_tensors.h"

namespace manyform {
namespace {

// Two of bfloat16's eight bits of a value of order 1.
constexpr double kCoarse = 1.0 / 64;

double RelativeDistance(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

TEST(PrecisionTest, NamesReadBack) {
  for (const std::string name : {"f32", "bf16"}) EXPECT_EQ(PrecisionName(*ParsePrecision(name)), name);
  EXPECT_EQ(ParsePrecision("f16").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(PrecisionTest, AScopeEndsWhereItEnds) {
  const auto type_of_product = [] { return at::linear(at::ones({2, 3}), at::ones({4, 3})).scalar_type(); };
  {
    const PrecisionScope none(c10::kCPU, Precision::kF32);
    EXPECT_EQ(type_of_product(), at::kFloat);
    const PrecisionScope outer(c10::kCPU, Precision::kBf16);
    EXPECT_EQ(type_of_product(), at::kBFloat16);
    {
      const PrecisionScope inner(c10::kCPU, Precision::kF16);
      EXPECT_EQ(type_of_product(), at::kHalf);
    }
    EXPECT_EQ(type_of_product(), at::kBFloat16);
  }
  EXPECT_EQ(type_of_product(), at::kFloat);
}

TEST(PrecisionTest, FeedForwardHasTheGradientsOfPlainOperators) {
  at::manual_seed(4);
  const std::vector<at::Tensor> values = {at::randn({6, 8}), at::randn({32, 8}), at::randn({32}),
                                          at::randn({8, 32}), at::randn({8})};
  const auto leaves = [&] {
    std::vector<at::Tensor> copies;
    for (const at::Tensor& value : values) copies.push_back(value.clone().set_requires_grad(true));
    return copies;
  };
  const std::vector<at::Tensor> ours = leaves(), plain = leaves();
  const at::Tensor weights = at::randn({6, 8});
  {
    const PrecisionScope scope(c10::kCPU, Precision::kBf16);
    (FeedForward(ours[0], ours[1], ours[2], ours[3], ours[4]) * weights).sum().backward();
  }
  const at::Tensor inner = at::gelu(at::linear(plain[0], plain[1], plain[2]));
  (at::linear(inner, plain[3], plain[4]) * weights).sum().backward();
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(ours[i].grad().scalar_type(), at::kFloat);
    EXPECT_LT(RelativeDistance(ours[i].grad(), plain[i].grad()), kCoarse) << i;
    EXPECT_FALSE(ours[i].grad().equal(plain[i].grad())) << i << ": nothing was cast";
  }
}

TEST(PrecisionTest, AModelIsTheSameButCoarser) {
  const Arrays batches = GoldenArrays("batches");
  for (const auto& [name, batch] : {std::pair<std::string, std::string>("causal9", "qa_mixed"),
                                    {"causal5", "legacy"},
                                    {"encdec9", "split"}}) {
    QueryTransformer model = GoldenModel(name);
    const at::Tensor feat = batches.at(batch + "/feat"), type = batches.at(batch + "/type").to(at::kLong);
    const auto gradients = [&] {
      const Hidden hidden = model.Forward(feat, type);
      EXPECT_EQ(hidden.z.scalar_type(), at::kFloat);
      EXPECT_EQ(hidden.h.scalar_type(), at::kFloat);
      EXPECT_EQ(hidden.z_hat.scalar_type(), at::kFloat);
      hidden.z_hat.square().sum().backward();
      std::vector<at::Tensor> all = {hidden.z_hat.detach()};
      for (const auto& [parameter, tensor] : model.parameters()) {
        all.push_back(tensor.grad());
        tensor.mutable_grad().reset();
      }
      return all;
    };
    const std::vector<at::Tensor> fine = gradients();
    model.SetPrecision(Precision::kBf16);
    const std::vector<at::Tensor> coarse = gradients();
    EXPECT_FALSE(coarse[0].equal(fine[0])) << name;
    for (size_t i = 0; i < fine.size(); ++i) {
      ASSERT_EQ(coarse[i].defined(), fine[i].defined()) << name << i;
      if (!fine[i].defined()) continue;
      EXPECT_LT(RelativeDistance(coarse[i], fine[i]), 4 * kCoarse) << name << i;
    }
  }
}

TEST(PrecisionTest, WeightsThatChangeAreCastAgain) {
  const Arrays batches = GoldenArrays("batches");
  QueryTransformer model = GoldenModel("causal9");
  model.SetPrecision(Precision::kBf16);
  const at::Tensor feat = batches.at("qa/feat"), type = batches.at("qa/type").to(at::kLong);
  const at::Tensor before = model.Forward(feat, type).z_hat.detach();
  for (const auto& [name, tensor] : model.parameters()) tensor.detach().mul_(1.5);
  EXPECT_GT(RelativeDistance(model.Forward(feat, type).z_hat.detach(), before), 0.1);
}

}  // namespace
}  // namespace manyform

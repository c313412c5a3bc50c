#include "train/optimizer.h"

#include <ATen/ATen.h>

#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/files.h"
#include "gtest/gtest.h"
#include "model/safetensors.h"
#include "train/objectives.h"

namespace manyform {
namespace {

const std::string kGolden = "testdata/golden/e_model/";

std::map<std::string, at::Tensor> Load(const std::string& name) {
  const SafeTensors file = ReadSafeTensors(kGolden + name + ".safetensors").value();
  return {file.tensors.begin(), file.tensors.end()};
}

nlohmann::json Published(const std::string& run) {
  return nlohmann::json::parse(ReadFile(kGolden + "train/train.json").value())[run];
}

QueryTransformer GoldenModel(int64_t n_types) {
  const std::string name = n_types == 9 ? "weights/causal9" : "weights/causal5";
  const SafeTensors file = ReadSafeTensors(kGolden + name + ".safetensors").value();
  const TransformerConfig config{.d_model = 48, .layers = 2, .heads = 6, .n_types = n_types, .max_len = 64};
  return QueryTransformer::FromTensors(config, file.tensors).value();
}

using Loss = std::function<at::Tensor(const at::Tensor& feat, const at::Tensor& type, size_t step)>;

// Trains on the named batches and compares the loss of each step.
void ExpectPublishedLosses(const QueryTransformer& model, const std::vector<std::string>& names,
                           const nlohmann::json& published, const Loss& loss) {
  const auto batches = Load("batches");
  AdamW optimizer(model.parameters(), {.lr = 3e-4, .weight_decay = 0.05});
  ASSERT_EQ(published["losses"].size(), names.size());
  for (size_t step = 0; step < names.size(); ++step) {
    optimizer.ClearGradients();
    const at::Tensor value =
        loss(batches.at(names[step] + "/feat"), batches.at(names[step] + "/type").to(at::kLong), step);
    EXPECT_NEAR(value.item<double>(), published["losses"][step], 1e-5) << step;
    value.backward();
    optimizer.Step();
  }
}

TEST(OptimizerTest, FiveStepsOfNepaEndAtThePublishedWeights) {
  const QueryTransformer model = GoldenModel(9);
  ExpectPublishedLosses(
      model, {"qa", "qa_mixed", "qa", "qa_mixed", "qa_noray"}, Published("nepa"),
      [&](const at::Tensor& feat, const at::Tensor& type, size_t) { return NepaLoss(model, feat, type); });
  const auto final = Load("train/nepa_final");
  int64_t far = 0;
  for (const auto& [name, tensor] : model.parameters()) {
    const at::Tensor distance = (tensor.detach() - final.at(name)).abs();
    // Adam makes full steps of tiny gradients too.
    EXPECT_LT(distance.max().item<double>(), 1e-4) << name;
    far += (distance > 2e-5).sum().item<int64_t>();
  }
  EXPECT_LE(far, 10);
}

TEST(OptimizerTest, FiveStepsOnLegacyTokens) {
  const QueryTransformer model = GoldenModel(5);
  ExpectPublishedLosses(
      model, {"legacy", "legacy_mixed", "legacy", "legacy_mixed", "legacy"}, Published("nepa_legacy"),
      [&](const at::Tensor& feat, const at::Tensor& type, size_t) { return NepaLoss(model, feat, type); });
}

// The mask of published permutations.
at::Tensor PublishedMask(const std::map<std::string, at::Tensor>& draws, const at::Tensor& type,
                         size_t step) {
  at::Tensor masked = at::zeros(type.sizes(), at::kBool);
  for (int64_t b = 0; b < type.size(0); ++b) {
    const std::string key = "mae/step" + std::to_string(step) + "/draw" + std::to_string(b) + "_randperm";
    const at::Tensor order = draws.at(key).to(at::kLong);
    const at::Tensor candidates = (type[b].ne(0) & type[b].ne(4)).nonzero().squeeze(1);
    const auto chosen = static_cast<int64_t>(0.4 * static_cast<double>(order.numel()));
    masked[b].index_fill_(0, candidates.index_select(0, order.slice(0, 0, chosen)), true);
  }
  return masked;
}

TEST(OptimizerTest, FiveStepsOfMae) {
  const QueryTransformer model = GoldenModel(9);
  const auto draws = Load("train/draws");
  ExpectPublishedLosses(model, {"qa", "qa_mixed", "qa", "qa_mixed", "qa_noray"}, Published("mae"),
                        [&](const at::Tensor& feat, const at::Tensor& type, size_t step) {
                          return MaeLoss(model, feat, type, PublishedMask(draws, type, step));
                        });
}

// Loshchilov and Hutter's formulas in double.
TEST(OptimizerTest, StepsFollowTheFormulas) {
  const AdamWOptions options{.lr = 0.1, .weight_decay = 0.3, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-3};
  at::Tensor weights = at::tensor({1.0F, -2.0F, 0.5F}).set_requires_grad(true);
  AdamW optimizer({{"w", weights}}, options);
  std::vector<double> w = {1, -2, 0.5}, m(3), v(3);
  for (int step = 1; step <= 4; ++step) {
    const std::vector<double> g = {0.1 * step, -3, 1e-4};
    weights.mutable_grad() = at::tensor(std::vector<float>(g.begin(), g.end()));
    EXPECT_NEAR(optimizer.GradientNorm(), std::sqrt(g[0] * g[0] + g[1] * g[1] + g[2] * g[2]), 1e-6);
    optimizer.Step();
    for (size_t i = 0; i < 3; ++i) {
      w[i] -= options.lr * options.weight_decay * w[i];
      m[i] = 0.8 * m[i] + 0.2 * g[i];
      v[i] = 0.9 * v[i] + 0.1 * g[i] * g[i];
      const double mean = m[i] / (1 - std::pow(0.8, step)), square = v[i] / (1 - std::pow(0.9, step));
      w[i] -= options.lr * mean / (std::sqrt(square) + options.eps);
      EXPECT_NEAR(weights[static_cast<int64_t>(i)].item<double>(), w[i], 1e-5);
    }
  }
}

TEST(OptimizerTest, WithoutAGradientNothingMoves) {
  at::Tensor used = at::ones({2}).set_requires_grad(true), idle = at::ones({2}).set_requires_grad(true);
  AdamW optimizer({{"used", used}, {"idle", idle}}, {});
  (used * 2).sum().backward();
  optimizer.Step();
  EXPECT_TRUE(idle.equal(at::ones({2})));
  EXPECT_FALSE(used.equal(at::ones({2})));
  optimizer.ClearGradients();
  EXPECT_FALSE(used.grad().defined());
  EXPECT_EQ(optimizer.GradientNorm(), 0);
}

TEST(OptimizerTest, ARestoredOptimizerGoesOnBitForBit) {
  const auto step = [](AdamW& optimizer, at::Tensor& weights, double scale) {
    weights.mutable_grad() = at::linspace(-scale, 1, weights.numel()).view(weights.sizes());
    optimizer.Step();
  };
  at::Tensor a = at::ones({3, 5}).set_requires_grad(true);
  AdamW first({{"a", a}}, {});
  step(first, a, 0.5);
  step(first, a, 2);
  Checkpoint checkpoint;
  first.Save(&checkpoint);
  at::Tensor b = a.detach().clone().set_requires_grad(true);
  AdamW second({{"a", b}}, {});
  EXPECT_TRUE(second.Load(checkpoint).empty());
  step(first, a, 1);
  step(second, b, 1);
  EXPECT_TRUE(a.equal(b));
  // Another shape starts afresh and is reported.
  at::Tensor c = at::ones({4, 5}).set_requires_grad(true);
  AdamW third({{"a", c}, {"new", c.clone()}}, {});
  EXPECT_EQ(third.Load(checkpoint), (std::vector<std::string>{"a", "new"}));
}

}  // namespace
}  // namespace manyform

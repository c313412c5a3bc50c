#include "model/query_transformer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "model/testing/golden_tensors.h"

namespace manyform {
namespace {

TEST(QueryTransformerTest, ForwardMatchesThePublishedModule) {
  const Arrays expected = GoldenArrays("forward"), batches = GoldenArrays("batches");
  int compared = 0;
  for (const std::string name : {"causal9", "causal5"}) {
    const QueryTransformer model = GoldenModel(name);
    for (const auto& [key, value] : expected) {
      if (!absl::StartsWith(key, name + "/")) continue;
      const size_t first = key.find('/'), second = key.find('/', first + 1),
                   third = key.find('/', second + 1);
      const std::string batch = key.substr(first + 1, second - first - 1);
      const bool causal = key.substr(second + 1, third - second - 1) == "causal";
      const Hidden hidden = model.Forward(batches.at(batch + "/feat"),
                                          batches.at(batch + "/type").to(at::kLong), {.causal = causal});
      const std::string what = key.substr(third + 1);
      const at::Tensor& ours = what == "z" ? hidden.z : what == "h" ? hidden.h : hidden.z_hat;
      EXPECT_LT(Distance(ours, value), 1e-5) << key;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 28);
}

TEST(QueryTransformerTest, RowsAreTheSameAsOfTheWhole) {
  const Arrays batches = GoldenArrays("batches");
  const QueryTransformer model = GoldenModel("causal9");
  const at::Tensor feat = batches.at("qa/feat"), type = batches.at("qa/type").to(at::kLong);
  const at::Tensor rows = at::tensor({0, 31, 32, 77, 127}, at::kLong);
  for (const bool causal : {true, false}) {
    const Hidden all = model.Forward(feat, type, {.causal = causal});
    const Hidden some = model.Forward(feat, type, {.causal = causal, .rows = rows});
    EXPECT_LT(Distance(some.h, all.h.flatten(0, 1).index_select(0, rows)), 1e-5);
    EXPECT_LT(Distance(some.z_hat, all.z_hat.flatten(0, 1).index_select(0, rows)), 1e-5);
    EXPECT_FALSE(model.Forward(feat, type, {.need_z_hat = false}).z_hat.defined());
  }
}

TEST(QueryTransformerTest, CausalPrefixesDoNotSeeTheFuture) {
  const Arrays batches = GoldenArrays("batches");
  const QueryTransformer model = GoldenModel("causal9");
  const at::Tensor feat = batches.at("qa/feat"), type = batches.at("qa/type").to(at::kLong);
  const at::Tensor whole = model.Forward(feat, type).h;
  const at::Tensor prefix = model.Forward(feat.slice(1, 0, 11), type.slice(1, 0, 11)).h;
  EXPECT_LT(Distance(whole.slice(1, 0, 11), prefix), 1e-5);
  const at::Tensor both = model.Forward(feat, type, {.causal = false}).h;
  EXPECT_GT(Distance(both.slice(1, 0, 11), prefix), 1e-3);
}

TEST(QueryTransformerTest, PositionsResizeAsPublished) {
  const Arrays expected = GoldenArrays("pos_emb_resize");
  for (const auto& [key, value] : expected) {
    if (key == "original") continue;
    const int64_t length = value.size(0);
    TransformerConfig config = GoldenConfig(9);
    NamedTensors tensors = GoldenModel("causal9").parameters();
    tensors[0].second = expected.at("original").view({1, 64, 48});
    QueryTransformer model = QueryTransformer::FromTensors(config, tensors).value();
    model.ResizePositions(length);
    EXPECT_EQ(model.config().max_len, length);
    EXPECT_LT(Distance(model.parameters()[0].second[0], value), 1e-6) << key;
    EXPECT_TRUE(model.parameters()[0].second.requires_grad());
    const at::Tensor feat = at::zeros({1, length, 15});
    EXPECT_EQ(model.Forward(feat, at::zeros({1, length}, at::kLong)).h.size(1), length);
  }
}

// Mean, spread and bounds of a fresh tensor against the published ones, within what sampling allows.
void ExpectSameDistribution(const std::string& name, const at::Tensor& ours,
                            const nlohmann::json& published) {
  const double sigma = published["std"];
  const auto n = static_cast<double>(ours.numel());
  const double std = ours.numel() > 1 ? ours.std().item<double>() : 0;
  if (sigma == 0) {
    EXPECT_EQ(ours.min().item<double>(), published["min"].get<double>()) << name;
    EXPECT_EQ(ours.max().item<double>(), published["max"].get<double>()) << name;
    return;
  }
  EXPECT_NEAR(ours.mean().item<double>(), published["mean"].get<double>(), 6 * sigma / std::sqrt(n)) << name;
  EXPECT_NEAR(std, sigma, 6 * sigma / std::sqrt(n)) << name;
  const bool normal = name == "pos_emb" || name == "type_emb.weight";
  const double slack = normal ? 1.5 * sigma : 12 * 2 * sigma * std::sqrt(3.0) / n;
  EXPECT_NEAR(ours.min().item<double>(), published["min"].get<double>(), slack) << name;
  EXPECT_NEAR(ours.max().item<double>(), published["max"].get<double>(), slack) << name;
}

TEST(QueryTransformerTest, FreshWeightsAreDistributedAsPublished) {
  const auto stats = nlohmann::json::parse(ReadFile(kGolden + "init_stats.json").value());
  const QueryTransformer model = QueryTransformer::Create(GoldenConfig(9), 3).value();
  std::map<std::string, at::Tensor> by_name;
  for (const auto& [name, tensor] : model.parameters()) {
    ASSERT_TRUE(stats.contains(name)) << name;
    EXPECT_EQ(tensor.sizes().vec(), stats[name]["shape"].get<std::vector<int64_t>>()) << name;
    EXPECT_TRUE(tensor.requires_grad());
    ExpectSameDistribution(name, tensor.detach(), stats[name]);
    by_name[name] = tensor;
  }
  EXPECT_EQ(model.parameters().size() + 1, stats.size());
  EXPECT_EQ(model.parameters()[0].first, "pos_emb");
  for (const auto& [name, tensor] : by_name) {
    if (!absl::StartsWith(name, "backbone.enc.layers.1.")) continue;
    const at::Tensor& first = by_name.at(absl::StrCat("backbone.enc.layers.0.", name.substr(22)));
    EXPECT_TRUE(tensor.equal(first)) << name;
    EXPECT_NE(tensor.data_ptr(), first.data_ptr()) << name;
  }
}

TEST(QueryTransformerTest, TheSeedDecidesTheWeights) {
  const auto weights = [](uint64_t seed) {
    return QueryTransformer::Create(GoldenConfig(5), seed).value().parameters()[2].second.detach();
  };
  EXPECT_TRUE(weights(7).equal(weights(7)));
  EXPECT_FALSE(weights(7).equal(weights(8)));
  EXPECT_FALSE(weights(7).equal(weights(7 + (uint64_t{1} << 32))));
}

TEST(QueryTransformerTest, EveryParameterGetsAGradient) {
  const Arrays batches = GoldenArrays("batches");
  const QueryTransformer model = GoldenModel("causal9");
  model.Forward(batches.at("qa/feat"), batches.at("qa/type").to(at::kLong)).z_hat.square().mean().backward();
  for (const auto& [name, tensor] : model.parameters()) {
    ASSERT_TRUE(tensor.grad().defined()) << name;
    // Attention ignores a constant added to every key; the tail of the positions is not used.
    EXPECT_GT(tensor.grad().abs().max().item<double>(), 0) << name;
  }
}

TEST(QueryTransformerTest, WrongTensorsAndSizesAreNamed) {
  const NamedTensors good = GoldenModel("causal9").parameters();
  const auto message = [](const TransformerConfig& config, const NamedTensors& tensors) {
    const absl::Status status = QueryTransformer::FromTensors(config, tensors).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  NamedTensors missing = good;
  missing.erase(missing.begin() + 3);
  EXPECT_TRUE(absl::StrContains(message(GoldenConfig(9), missing), "token_mlp.0.bias"));
  NamedTensors surplus = good;
  surplus.emplace_back("extra", at::ones({1}));
  EXPECT_TRUE(absl::StrContains(message(GoldenConfig(9), surplus), "extra"));
  NamedTensors twice = good;
  twice.push_back(good[0]);
  EXPECT_TRUE(absl::StrContains(message(GoldenConfig(9), twice), "pos_emb"));
  NamedTensors half = good;
  half[0].second = half[0].second.to(at::kHalf);
  EXPECT_TRUE(absl::StrContains(message(GoldenConfig(9), half), "pos_emb"));
  EXPECT_TRUE(absl::StrContains(message(GoldenConfig(5), good), "type_emb.weight"));
  TransformerConfig odd = GoldenConfig(9);
  odd.heads = 7;
  EXPECT_TRUE(absl::StrContains(message(odd, good), "heads"));
  odd = GoldenConfig(9);
  odd.max_len = 0;
  EXPECT_TRUE(absl::StrContains(message(odd, good), "max_len"));
}

}  // namespace
}  // namespace manyform

#include "train/objectives.h"

#include <ATen/ATen.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "model/safetensors.h"

namespace manyform {
namespace {

const std::string kGolden = "testdata/golden/e_model/";

std::map<std::string, at::Tensor> Load(const std::string& name) {
  const SafeTensors file = ReadSafeTensors(kGolden + name + ".safetensors").value();
  return {file.tensors.begin(), file.tensors.end()};
}

QueryTransformer GoldenModel(const std::string& name) {
  const SafeTensors file = ReadSafeTensors(kGolden + "weights/" + name + ".safetensors").value();
  return QueryTransformer::FromTensors(
             {.d_model = 48,
              .layers = 2,
              .heads = 6,
              .n_types = name == "causal5" ? 5 : 9,
              .max_len = 64,
              .arch = name == "encdec9" ? Architecture::kEncoderDecoder : Architecture::kCausal},
             file.tensors)
      .value();
}

nlohmann::json Published() { return nlohmann::json::parse(ReadFile(kGolden + "model.json").value()); }

struct GoldenBatch {
  at::Tensor feat, type;
};

GoldenBatch BatchOf(const std::string& name) {
  const auto batches = Load("batches");
  return {batches.at(name + "/feat"), batches.at(name + "/type").to(at::kLong)};
}

QueryTransformer ModelFor(const std::string& batch) {
  return GoldenModel(batch.rfind("legacy", 0) == 0 ? "causal5" : "causal9");
}

TEST(ObjectivesTest, NepaLossMatchesThePublishedOne) {
  const nlohmann::json published = Published()["loss"];
  for (const auto& [key, losses] : published.items()) {
    const std::vector<std::string> parts = absl::StrSplit(key, '/');
    const QueryTransformer model = GoldenModel(parts[0]);
    const auto [feat, type] = BatchOf(parts[1]);
    const bool causal = parts[2] == "causal";
    const Hidden hidden = model.Forward(feat, type, {.causal = causal});
    const at::Tensor predicted = hidden.z_hat.flatten(0, 1), embedded = hidden.z.flatten(0, 1);
    const at::Tensor rows = PredictingRows(type);
    EXPECT_NEAR(
        CosineLoss(predicted.index_select(0, rows), embedded.index_select(0, rows + 1)).item<double>(),
        losses["nepa"], 1e-5)
        << key;
    if (causal) {
      EXPECT_NEAR(NepaLoss(model, feat, type).item<double>(), losses["nepa"], 1e-5) << key;
    }
    // Every next token as a target.
    const int64_t last = feat.size(1) - 1;
    const at::Tensor all =
        CosineLoss(hidden.z_hat.slice(1, 0, last).flatten(0, 1), hidden.z.slice(1, 1).flatten(0, 1));
    EXPECT_NEAR(all.item<double>(), losses["nepa_without_types"], 1e-5) << key;
  }
  EXPECT_EQ(published.size(), 16u);
}

TEST(ObjectivesTest, TargetsAreAnswersIfThereIsAnyInTheBatch) {
  const at::Tensor qa = at::tensor({0, 5, 6, 3, 3, 4, 0, 7, 8, 5, 6, 4}, at::kLong).view({2, 6});
  EXPECT_TRUE(PredictingRows(qa).equal(at::tensor({1, 7, 9}, at::kLong)));
  const at::Tensor legacy = at::tensor({0, 1, 2, 4, 0, 1, 3, 4}, at::kLong).view({2, 4});
  EXPECT_TRUE(PredictingRows(legacy).equal(at::tensor({0, 1, 2, 4, 6}, at::kLong)));
}

TEST(ObjectivesTest, GradientsStopAtTheTarget) {
  // If z[t+1] were not stopped, a model could shrink the loss through its embeddings of the last token alone.
  const QueryTransformer model = GoldenModel("causal9");
  const auto [feat, type] = BatchOf("qa_noeos");
  const at::Tensor variable = feat.clone().set_requires_grad(true);
  NepaLoss(model, variable, type).backward();
  // The last token is a target and is attended to by nobody who predicts.
  EXPECT_EQ(variable.grad().select(1, feat.size(1) - 1).abs().max().item<double>(), 0);
  EXPECT_GT(variable.grad().select(1, 1).abs().max().item<double>(), 0);
}

TEST(ObjectivesTest, ABatchWithoutTargetsCostsNothing) {
  const QueryTransformer model = GoldenModel("causal5");
  const at::Tensor type = at::tensor({0, 3, 3}, at::kLong).view({1, 3});
  const at::Tensor loss = NepaLoss(model, at::ones({1, 3, 15}), type);
  EXPECT_EQ(loss.item<double>(), 0);
  loss.backward();
  for (const auto& [name, tensor] : model.parameters())
    EXPECT_TRUE(!tensor.grad().defined() || tensor.grad().eq(0).all().item<bool>()) << name;
}

TEST(ObjectivesTest, MasksAndMaeLossMatchThePublishedOnes) {
  const auto masks = Load("mae");
  const auto published = Published();
  ASSERT_FALSE(published["mae"].empty());
  for (const auto& expected : published["mae"]) {
    const std::string batch = expected["batch"], key = expected["key"];
    const auto [feat, type] = BatchOf(batch);
    NumpyRandomState random(expected["torch_manual_seed"].get<uint32_t>());
    const at::Tensor masked = MaskTokens(type, expected["mask_ratio"], random);
    EXPECT_TRUE(masked.equal(masks.at(key + "/mask"))) << key;
    EXPECT_EQ(masked.sum(1).to(at::kInt).equal(at::tensor(expected["n_masked"].get<std::vector<int>>())),
              true);
    EXPECT_NEAR(MaeLoss(ModelFor(batch), feat, type, masked).item<double>(), expected["loss"], 1e-5) << key;
  }
}

}  // namespace
}  // namespace manyform

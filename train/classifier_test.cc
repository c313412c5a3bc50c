#include "train/classifier.h"

#include <ATen/ATen.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_split.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "model/safetensors.h"
#include "train/optimizer.h"

namespace manyform {
namespace {

const std::string kGolden = "testdata/golden/e_model/";

using Arrays = std::map<std::string, at::Tensor>;

Arrays Load(const std::string& name) {
  const SafeTensors file = ReadSafeTensors(kGolden + name + ".safetensors").value();
  return {file.tensors.begin(), file.tensors.end()};
}

QueryTransformer GoldenModel(const std::string& name) {
  const SafeTensors file = ReadSafeTensors(kGolden + "weights/" + name + ".safetensors").value();
  const TransformerConfig config{
      .d_model = 48, .layers = 2, .heads = 6, .n_types = name == "causal9" ? 9 : 5, .max_len = 64};
  return QueryTransformer::FromTensors(config, file.tensors).value();
}

ClassifierHead GoldenHead() {
  const Arrays head = Load("weights/cls_head7");
  return ClassifierHead::FromTensors(48, 7,
                                     {{"cls.weight", head.at("weight")}, {"cls.bias", head.at("bias")}})
      .value();
}

TEST(ClassifierTest, EveryPoolingMatchesThePublishedLogits) {
  const Arrays batches = Load("batches");
  const ClassifierHead head = GoldenHead();
  int compared = 0;
  for (const auto& [key, logits] : Load("cls")) {
    const std::vector<std::string> part = absl::StrSplit(key, '/');
    if (part.size() != 4) continue;
    const QueryTransformer model = GoldenModel(part[0]);
    const Pooling pooling = ParsePooling(part[2], part[0] == "causal9").value();
    const at::Tensor ours =
        head.Logits(PooledHidden(model, batches.at(part[1] + "/feat"),
                                 batches.at(part[1] + "/type").to(at::kLong), pooling, part[3] == "causal"));
    EXPECT_LT((ours - logits).abs().max().item<double>(), 1e-5) << key;
    ++compared;
  }
  EXPECT_EQ(compared, 84);
}

TEST(ClassifierTest, StepsMatchThePublishedOnes) {
  const auto published = nlohmann::json::parse(ReadFile(kGolden + "model.json").value())["cls"];
  const Arrays batches = Load("batches"), expected = Load("cls");
  ASSERT_EQ(published.size(), 2u);
  for (const auto& run : published) {
    const bool freeze = run["freeze_backbone"] == 1;
    QueryTransformer model = GoldenModel("causal9");
    model.SetRequiresGrad(!freeze);
    const ClassifierHead head = GoldenHead();
    NamedTensors parameters = freeze ? NamedTensors() : model.parameters();
    parameters.insert(parameters.end(), head.parameters().begin(), head.parameters().end());
    AdamW optimizer(parameters, {.lr = run["lr"], .weight_decay = run["weight_decay"]});
    const at::Tensor labels = at::tensor(run["labels"].get<std::vector<int64_t>>(), at::kLong);
    for (size_t step = 0; step < run["batches"].size(); ++step) {
      const std::string batch = run["batches"][step];
      optimizer.ClearGradients();
      const at::Tensor pooled =
          PooledHidden(model, batches.at(batch + "/feat"), batches.at(batch + "/type").to(at::kLong),
                       Pooling::kMeanAnswers, false);
      const at::Tensor loss = at::cross_entropy_loss(head.Logits(pooled), labels);
      EXPECT_NEAR(loss.item<double>(), run["losses"][step], 2e-5) << freeze << step;
      loss.backward();
      optimizer.Step();
    }
    const std::string key = freeze ? "cls_steps_freeze1/" : "cls_steps_freeze0/";
    EXPECT_LT((head.parameters()[0].second - expected.at(key + "head_weight")).abs().max().item<double>(),
              2e-5);
    EXPECT_LT((head.parameters()[1].second - expected.at(key + "head_bias")).abs().max().item<double>(),
              2e-5);
  }
}

TEST(ClassifierTest, ASequenceWithoutAnswersBesideOnesWithPoolsToZero) {
  const at::Tensor type = at::tensor({0, 5, 6, 4, 0, 3, 3, 4}, at::kLong).view({2, 4});
  const QueryTransformer model = GoldenModel("causal9");
  const at::Tensor pooled = PooledHidden(model, at::ones({2, 4, 15}), type, Pooling::kMeanAnswers, false);
  EXPECT_GT(pooled[0].abs().max().item<double>(), 0);
  EXPECT_EQ(pooled[1].abs().max().item<double>(), 0);
}

TEST(ClassifierTest, FreshHeadsAreLinearsDefault) {
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
  EXPECT_FALSE(ParsePooling("max", true).ok());
}

}  // namespace
}  // namespace manyform

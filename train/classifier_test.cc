// Steps of a classifier against the published ones: pooling, head, loss and optimizer together.
#include <ATen/ATen.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/files.h"
#include "gtest/gtest.h"
#include "model/classifier_head.h"
#include "model/pooling.h"
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

}  // namespace
}  // namespace manyform

#include "eval/classify.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "data/token_dataset.h"
#include "eval/golden_for_test.h"
#include "eval/record.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "model/classifier_head.h"
#include "model/pooling.h"

namespace manyform {
namespace {

const std::vector<std::string> kClasses = {"ball", "box", "ell", "pill", "ring"};

class ClassifyTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { EnterGoldenFolder(); }
  // A fresh head on a trained model, saved as fine-tuning saves it.
  ClassifyTest() : model_(GoldenModel("qa")), head_(model_.model.config().d_model, 5, 3) {
    trained_.set_cache_root("c40");
    trained_.set_test_split("test");
    trained_.set_eval_backend("udfgrid");
    trained_.set_mc_eval_k(2);
    trained_.set_batch(6);
    config_.set_ckpt(testing::TempDir() + "/saved/last.safetensors");
    config_.set_num_threads(1);
    Save(kClasses);
  }
  void Save(const std::vector<std::string>& classes, const std::string& stage = "finetune") {
    Checkpoint checkpoint = {
        .header = model_.header, .model = model_.model.parameters(), .aux_heads = head_.parameters()};
    SetSizes(model_.model.config(), &checkpoint.header);
    checkpoint.header.set_stage(stage);
    for (const std::string& name : classes) checkpoint.header.add_class_names(name);
    std::string text;
    google::protobuf::TextFormat::PrintToString(trained_, &text);
    checkpoint.header.set_config(text);
    ASSERT_TRUE(WriteCheckpoint(config_.ckpt(), checkpoint).ok());
  }
  // One shape and one resample at a time, the whole forward pass, pooled by hand.
  std::vector<int64_t> Confusion(const std::string& split, Backend backend, int64_t resamples) const {
    TokenDataset dataset;
    dataset.shapes = std::make_shared<const ShapeList>(ValueOrDie(ShapeList::Open("c40", split)));
    dataset.backend.backend = backend;
    dataset.tokens.n_point = model_.header.n_point();
    dataset.tokens.n_ray = model_.header.n_ray();
    dataset.tokens.sampling = PointSampling::kFps;
    dataset.tokens.layout = {.qa_tokens = true, .add_eos = model_.header.add_eos()};
    const int64_t length =
        SequenceLength(model_.header.n_point(), model_.header.n_ray(), dataset.tokens.layout);
    std::vector<int64_t> confusion(25);
    for (int64_t shape = 0; shape < dataset.shapes->size(); ++shape) {
      at::Tensor sum = at::zeros({1, 5});
      for (int64_t k = 0; k < resamples; ++k) {
        std::vector<float> feat(length * kFeatures);
        std::vector<uint8_t> type(length);
        EXPECT_TRUE(EvalTokens(dataset, shape, 0, k, feat, type).ok());
        const at::Tensor types = TypeTensor(type.data(), 1, length);
        const at::Tensor h =
            model_.model.Forward(FeatureTensor(feat.data(), 1, length), types, {.causal = false}).h[0];
        const at::Tensor answers = (types[0].eq(kAnswerPoint) | types[0].eq(kAnswerRay)).nonzero().squeeze(1);
        sum += head_.Logits(h.index_select(0, answers).mean(0, /*keepdim=*/true)).detach();
      }
      const std::string& name = dataset.shapes->entry(shape).class_name();
      const int64_t label = std::find(kClasses.begin(), kClasses.end(), name) - kClasses.begin();
      ++confusion[label * 5 + sum.argmax(1).item<int64_t>()];
    }
    return confusion;
  }
  LoadedModel model_;
  ClassifierHead head_;
  FinetuneConfig trained_;
  ClassifyConfig config_;
};

std::vector<int64_t> ConfusionOf(const ClassifyResult& result) {
  return {result.confusion().begin(), result.confusion().end()};
}

TEST_F(ClassifyTest, AsItWasTrainedUnlessToldOtherwise) {
  const ClassifyResult result = ValueOrDie(Classify(config_));
  const std::vector<int64_t> expected = Confusion("test", Backend::kUdfgrid, 2);
  EXPECT_EQ(ConfusionOf(result), expected);
  int64_t right = 0, all = 0;
  for (int64_t i = 0; i < 25; ++i) {
    all += expected[i];
    if (i % 6 == 0) right += expected[i];
  }
  EXPECT_EQ(MetricOr(result.record(), "acc", NAN), static_cast<double>(right) / static_cast<double>(all));
  EXPECT_EQ(result.record().label(), "saved");
  ASSERT_EQ(result.classes_size(), 5);
  EXPECT_EQ(result.classes(1).class_name(), "box");
  EXPECT_EQ(SettingOf(result.record(), "mc_eval_k"), "2");

  config_.set_split("train");
  config_.set_backend("mesh");
  config_.set_mc_eval_k(1);
  EXPECT_EQ(result.record().precision(), "f32");
  const ClassifyResult other = ValueOrDie(Classify(config_));
  EXPECT_EQ(ConfusionOf(other), Confusion("train", Backend::kMesh, 1));
  EXPECT_NE(other.record().protocol_signature(), result.record().protocol_signature());
}

TEST_F(ClassifyTest, SignatureKnowsTheProtocolNotTheClassifier) {
  const ResultRecord record = ValueOrDie(Classify(config_)).record();
  head_ = ClassifierHead(model_.model.config().d_model, 5, 4);
  Save(kClasses);
  const ResultRecord again = ValueOrDie(Classify(config_)).record();
  EXPECT_EQ(again.protocol_signature(), record.protocol_signature());
  EXPECT_NE(again.checkpoint_hash(), record.checkpoint_hash()) << "another head on the same model";
  config_.set_batch(1);
  EXPECT_EQ(ValueOrDie(Classify(config_)).record().protocol_signature(), record.protocol_signature());
  config_.set_precision("bf16");
  const ResultRecord coarse = ValueOrDie(Classify(config_)).record();
  EXPECT_EQ(coarse.precision(), "bf16");
  EXPECT_NE(coarse.protocol_signature(), record.protocol_signature());
  config_.clear_precision();
  config_.set_aug_rotate_z(true);
  EXPECT_EQ(ValueOrDie(Classify(config_)).record().protocol_signature(), record.protocol_signature());
  config_.set_aug_eval(true);
  EXPECT_NE(ValueOrDie(Classify(config_)).record().protocol_signature(), record.protocol_signature());
}

TEST_F(ClassifyTest, OtherClassesAreRefusedByName) {
  head_ = ClassifierHead(model_.model.config().d_model, 4, 3);
  Save({"ball", "box", "pill", "sofa"});
  EXPECT_TRUE(Classify(config_).ok()) << "as fine-tuning tested it";
  config_.set_split("test");
  const absl::Status status = Classify(config_).status();
  EXPECT_EQ(status.message(),
            "c40/test has 'ell', 'ring', which the classifier does not know; and has none of its 'sofa'");
  config_.set_common_classes(true);
  const ClassifyResult common = ValueOrDie(Classify(config_));
  EXPECT_EQ(common.classes(0).test_shapes(), 3);
  EXPECT_EQ(common.classes(3).test_shapes(), 0);
  EXPECT_EQ(SettingOf(common.record(), "n_files"), "9");
  Save({"cup", "fork", "knife", "sofa"});
  EXPECT_TRUE(absl::StrContains(Classify(config_).status().message(), "no shape is of a class"));
}

TEST_F(ClassifyTest, WhatIsNoClassifierIsSaid) {
  Save(kClasses, "pretrain");
  EXPECT_TRUE(absl::StrContains(Classify(config_).status().message(), "stage is 'pretrain'"));
  Save({"ball", "box"});
  const absl::Status head = Classify(config_).status();
  EXPECT_TRUE(absl::StrContains(head.message(), "saved/last.safetensors: no classifier of 2 classes"))
      << head;
  Checkpoint checkpoint = ValueOrDie(ReadCheckpoint(config_.ckpt()));
  checkpoint.header.set_config("test_split: 'test' colour: 3");
  ASSERT_TRUE(WriteCheckpoint(config_.ckpt(), checkpoint).ok());
  EXPECT_TRUE(absl::StrContains(Classify(config_).status().message(), "config:1:"))
      << Classify(config_).status();
  config_.set_ckpt("nothing.safetensors");
  EXPECT_EQ(Classify(config_).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace manyform

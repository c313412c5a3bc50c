#include "train/finetune_data.h"

#include <ATen/ATen.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "train/finetune_record.h"
#include "train/predict.h"
#include "train/testing/synthetic_cache.h"

namespace manyform {
namespace {

// What the published runs started from.
CheckpointHeader GoldenHeader() {
  CheckpointHeader header;
  SetSizes({.d_model = 48, .layers = 2, .heads = 6, .n_types = 9, .max_len = 128}, &header);
  header.set_n_point(24);
  header.set_n_ray(16);
  header.set_qa_tokens(true);
  header.set_qa_layout("interleave");
  header.set_add_eos(true);
  return header;
}

nlohmann::json GoldenRun(const std::string& name) {
  const auto golden = nlohmann::json::parse(ReadFile("testdata/golden/g_finetune/finetune.json").value());
  for (const auto& run : golden["runs"])
    if (run["name"] == name) return run;
  ADD_FAILURE() << "no run " << name;
  return {};
}

FinetuneConfig GoldenConfig() {
  FinetuneConfig config;
  config.set_cache_root("testdata/golden/f_eval/c40");
  config.set_val_ratio(0.2);
  return config;
}

// "c40/train/ball/s_01.npz" of the published lists is ours below testdata.
void ExpectSameShapes(const LabelledShapes& ours, const nlohmann::json& published, const std::string& what) {
  ASSERT_EQ(ours.shapes.size(), published.size()) << what;
  for (size_t i = 0; i < published.size(); ++i)
    EXPECT_EQ(ours.dataset.shapes->path(ours.shapes[i]),
              absl::StrCat("testdata/golden/f_eval/", published[i].get<std::string>()))
        << what << i;
}

TEST(FinetuneDataTest, PicksAreThePublishedOnes) {
  const CheckpointHeader header = GoldenHeader();
  struct Case {
    const char* name;
    int k;
    double val_ratio;
  };
  for (const Case& c : {Case{"k3_seed0", 3, 0.2}, Case{"probe", 0, 0.2}, Case{"no_val", 0, 0.0}}) {
    const nlohmann::json run = GoldenRun(c.name);
    FinetuneConfig config = GoldenConfig();
    config.set_fewshot_k(c.k);
    config.set_val_ratio(c.val_ratio);
    const FinetunePlan plan = PlanFinetune(config, &header).value();
    const FinetuneData data = OpenFinetuneData(config, plan).value();
    ExpectSameShapes(data.train, run["train"], "train");
    ExpectSameShapes(data.validation, run["val"], "val");
    EXPECT_EQ(data.test.shapes.size(), run["n_test"]);
    EXPECT_EQ(data.class_names.size(), 5u);
    for (size_t i = 0; i < data.test.shapes.size(); ++i)
      EXPECT_EQ(data.class_names[data.test.labels[i]],
                data.test.dataset.shapes->entry(data.test.shapes[i]).class_name());
  }
}

TEST(FinetuneDataTest, SizesAreCappedOrScaledAsPublished) {
  const CheckpointHeader header = GoldenHeader();
  FinetuneConfig config = GoldenConfig();
  FinetunePlan plan = PlanFinetune(config, &header).value();
  EXPECT_EQ(plan.n_point, 24);
  EXPECT_EQ(plan.sizes.max_len, 128);
  config.set_n_point(99);
  config.set_n_ray(99);
  plan = PlanFinetune(config, &header).value();
  EXPECT_EQ(plan.n_point, 24);
  EXPECT_EQ(plan.n_ray, 16);
  EXPECT_EQ(plan.sizes.max_len, 128);
  config.set_n_point(60);
  config.set_n_ray(20);
  config.set_allow_scale_up(true);
  plan = PlanFinetune(config, &header).value();
  EXPECT_EQ(plan.n_point, 60);
  EXPECT_EQ(plan.n_ray, 20);
  EXPECT_EQ(plan.sizes.max_len, 162);  // "[ckpt] resizing pos_emb: ckpt_len=128 -> max_len=162"
  config.set_max_len(161);
  EXPECT_TRUE(absl::StrContains(PlanFinetune(config, &header).status().message(), "max_len"));
  config.set_max_len(300);
  EXPECT_EQ(PlanFinetune(config, &header)->sizes.max_len, 300);
}

TEST(FinetuneDataTest, LayoutFollowsTheCheckpointUnlessTold) {
  CheckpointHeader header = GoldenHeader();
  header.set_qa_layout("split");
  header.set_add_eos(false);
  FinetuneConfig config = GoldenConfig();
  FinetunePlan plan = PlanFinetune(config, &header).value();
  EXPECT_TRUE(plan.layout.qa_tokens && plan.layout.qa_layout == QaLayout::kSplit && !plan.layout.add_eos);
  config.set_qa_tokens(0);
  config.set_add_eos(1);
  plan = PlanFinetune(config, &header).value();
  EXPECT_TRUE(!plan.layout.qa_tokens && plan.layout.add_eos);
  config.set_qa_tokens(1);
  header.set_n_types(5);
  EXPECT_TRUE(absl::StrContains(PlanFinetune(config, &header).status().message(), "qa_tokens"));
  // From scratch: legacy tokens, as the published baseline.
  plan = PlanFinetune(GoldenConfig(), nullptr).value();
  EXPECT_EQ(plan.sizes.n_types, 5);
  EXPECT_EQ(plan.sizes.max_len, 1026);
  EXPECT_EQ(plan.sizes.d_model, 384);
  plan = PlanFinetune(config, nullptr).value();
  EXPECT_EQ(plan.sizes.n_types, 9);
}

TEST(FinetuneDataTest, BackendsAndSamplingOfTrainingAndTest) {
  const CheckpointHeader header = GoldenHeader();
  FinetuneConfig config = GoldenConfig();
  config.set_eval_backend("pointcloud_noray");
  config.set_pt_sample_mode_train("fps");
  config.set_drop_ray_prob_train(0.5);
  const FinetuneData data = OpenFinetuneData(config, PlanFinetune(config, &header).value()).value();
  EXPECT_EQ(data.train.dataset.backend.backend, Backend::kMesh);
  EXPECT_EQ(data.validation.dataset.backend.backend, Backend::kPointcloudNoray);
  EXPECT_EQ(data.test.dataset.backend.backend, Backend::kPointcloudNoray);
  EXPECT_EQ(data.train.dataset.tokens.sampling, PointSampling::kFps);
  EXPECT_EQ(data.train.dataset.tokens.drop_ray_prob, 0.5);
  EXPECT_EQ(data.test.dataset.tokens.drop_ray_prob, 0);
}

TEST(FinetuneDataTest, ATestedClassMustBeTrained) {
  const std::string root = testing::TempDir() + "/finetune_classes";
  std::filesystem::remove_all(root);
  WriteSyntheticSplit({.root = root, .shapes_per_class = 1}, "test");
  std::filesystem::create_directories(root + "/train");
  std::filesystem::copy(root + "/test/ball", root + "/train/ball");
  std::filesystem::remove(root + "/manifest.binpb");
  FinetuneConfig config;
  config.set_cache_root(root);
  config.set_n_point(4);
  config.set_n_ray(2);
  const absl::Status status = OpenFinetuneData(config, PlanFinetune(config, nullptr).value()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "class 'box'")) << status;
}

TEST(FinetuneDataTest, LogitsOfResamplesAreAveraged) {
  const CheckpointHeader header = GoldenHeader();
  const FinetuneConfig config = GoldenConfig();
  const FinetuneData data = OpenFinetuneData(config, PlanFinetune(config, &header).value()).value();
  const auto model = QueryTransformer::Create(ConfigOf(header), 1).value();
  const ClassifierHead head(48, 5, 1);
  const PredictOptions options{.eval_seed = 3, .resamples = 2, .batch = 4, .num_workers = 2};
  const at::Tensor logits = PredictLogits(model, head, data.test, data.length, options).value();
  ASSERT_EQ(logits.sizes(), (std::vector<int64_t>{15, 5}));
  // Shape by shape, resample by resample.
  for (int64_t i = 0; i < 15; ++i) {
    at::Tensor sum = at::zeros({5});
    for (int64_t k = 0; k < 2; ++k) {
      std::vector<float> feat(data.length * kFeatures);
      std::vector<uint8_t> type(data.length);
      ASSERT_TRUE(EvalTokens(data.test.dataset, data.test.shapes[i], 3, k, feat, type).ok());
      sum +=
          head.Logits(PooledHidden(model, FeatureTensor(feat.data(), 1, data.length),
                                   TypeTensor(type.data(), 1, data.length), Pooling::kMeanAnswers, false))[0];
    }
    EXPECT_LT((sum / 2 - logits[i]).abs().max().item<double>(), 1e-5);
  }
  EXPECT_EQ(PredictedLabels(at::tensor({0.F, 2.F, 2.F, -1.F, -3.F, -2.F}).view({2, 3})),
            (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(Accuracy({1, 0, 2, 2}, {1, 1, 2, 0}), 0.5);
}

std::string Value(const ResultRecord& record, const std::string& name) {
  for (const Setting& setting : record.settings())
    if (setting.name() == name) return setting.json();
  return "";
}

TEST(FinetuneRecordTest, SimulatedScansAreCalledSo) {
  const CheckpointHeader header = GoldenHeader();
  FinetuneConfig config = GoldenConfig();
  const std::string root = testing::TempDir() + "/simulated";
  std::filesystem::copy(config.cache_root(), root, std::filesystem::copy_options::recursive);
  const FinetunePlan plan = PlanFinetune(config, &header).value();
  const auto said = [&] {
    const FinetuneData data = OpenFinetuneData(config, plan).value();
    const FinetuneOutcome outcome{.predictions = data.test.labels};
    return Value(MakeFinetuneResult(config, plan, data, outcome).record(), "simulated");
  };
  EXPECT_EQ(said(), "");
  config.set_cache_root(root);
  std::filesystem::remove(root + "/manifest.binpb");
  ASSERT_TRUE(WriteFileAtomically(root + "/_meta/simulated.txt", "simulated\n").ok());
  EXPECT_EQ(said(), "true");
}

TEST(FinetuneRecordTest, PublishedKeysAndAccuracies) {
  const CheckpointHeader header = GoldenHeader();
  FinetuneConfig config = GoldenConfig();
  config.set_ckpt("runs/mix/last.safetensors");
  config.set_mc_eval_k_test(4);
  const FinetunePlan plan = PlanFinetune(config, &header).value();
  const FinetuneData data = OpenFinetuneData(config, plan).value();
  // All right but for two of class 0, taken for class 3.
  FinetuneOutcome outcome{
      .best_epoch = 7, .best_validation = 0.8, .predictions = data.test.labels, .checkpoint_hash = "abc"};
  int changed = 0;
  for (int64_t& label : outcome.predictions)
    if (label == 0 && changed < 2) {
      label = 3;
      ++changed;
    }
  const FinetuneResult result = MakeFinetuneResult(config, plan, data, outcome);
  const ResultRecord& record = result.record();
  EXPECT_EQ(record.stage(), "finetune");
  EXPECT_EQ(record.label(), "mix");
  ASSERT_EQ(record.metrics_size(), 3);
  EXPECT_EQ(record.metrics(0).name(), "test_acc");
  EXPECT_DOUBLE_EQ(record.metrics(0).value(), 13.0 / 15);
  EXPECT_EQ(record.metrics(1).name(), "best_val");
  EXPECT_EQ(record.metrics(2).value(), 7);
  EXPECT_EQ(Value(record, "mc_eval_k_test"), "4");
  EXPECT_EQ(Value(record, "mc_eval_k_val"), "1");
  EXPECT_EQ(Value(record, "n_point"), "24");
  EXPECT_EQ(Value(record, "chance"), "0.2");
  EXPECT_EQ(Value(record, "cls_pooling"), "\"mean_a\"");
  EXPECT_EQ(Value(record, "eval_backend"), "\"mesh\"");
  ASSERT_EQ(result.classes_size(), 5);
  EXPECT_DOUBLE_EQ(result.classes(0).accuracy(), 1.0 / 3);
  EXPECT_EQ(result.classes(0).test_shapes(), 3);
  EXPECT_DOUBLE_EQ(result.classes(3).accuracy(), 1);
  ASSERT_EQ(result.confusion_size(), 25);
  EXPECT_EQ(result.confusion(0), 1);
  EXPECT_EQ(result.confusion(3), 2);
  EXPECT_EQ(result.confusion(18), 3);

  // Another checkpoint, seed or token layout may stand in the same column; another protocol may not.
  const auto signature = [&](const FinetuneConfig& changed_config, const CheckpointHeader* from) {
    const FinetunePlan other = PlanFinetune(changed_config, from).value();
    return MakeFinetuneResult(changed_config, other, data, outcome).record().protocol_signature();
  };
  FinetuneConfig same = config;
  same.clear_ckpt();
  same.set_seed(2);
  same.set_fewshot_seed(2);
  same.set_n_point(24);
  same.set_n_ray(16);
  EXPECT_EQ(signature(same, nullptr), record.protocol_signature());
  same.set_fewshot_k(1);
  EXPECT_NE(signature(same, nullptr), record.protocol_signature());
  same = config;
  same.set_n_point(23);
  EXPECT_NE(signature(same, &header), record.protocol_signature());
}

}  // namespace
}  // namespace manyform

#include "train/finetune_record.h"

#include <filesystem>
#include <string>

#include "base/config.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "train/testing/golden_finetune.h"

namespace manyform {
namespace {

std::string Value(const ResultRecord& record, const std::string& name) {
  for (const Setting& setting : record.settings())
    if (setting.name() == name) return setting.json();
  return "";
}

TEST(FinetuneRecordTest, SimulatedScansAreCalledSo) {
  FinetuneConfig config = GoldenConfig();
  const std::string root = testing::TempDir() + "/simulated";
  std::filesystem::copy(config.cache_root(), root, std::filesystem::copy_options::recursive);
  const auto said = [&] {
    const FinetunePlan plan = GoldenPlan(config);
    const FinetuneData data = OpenFinetuneData(plan).value();
    const FinetuneOutcome outcome{.predictions = data.test.labels};
    return Value(MakeFinetuneResult(plan, data, outcome).record(), "simulated");
  };
  EXPECT_EQ(said(), "");
  config.set_cache_root(root);
  std::filesystem::remove(root + "/manifest.binpb");
  ASSERT_TRUE(WriteFileAtomically(root + "/_meta/simulated.txt", "simulated\n").ok());
  EXPECT_EQ(said(), "true");
}

TEST(FinetuneRecordTest, PublishedKeysAndAccuracies) {
  FinetuneConfig config = GoldenConfig();
  config.set_ckpt("runs/mix/last.safetensors");
  config.set_mc_eval_k_test(4);
  const FinetunePlan plan = GoldenPlan(config);
  FinetuneData data = OpenFinetuneData(plan).value();
  data.test.shapes.pop_back();
  data.test.labels.pop_back();
  // All right but for two of class 0, taken for class 3; class 4 has one shape less than the others.
  FinetuneOutcome outcome{
      .best_epoch = 7, .best_validation = 0.8, .predictions = data.test.labels, .checkpoint_hash = "abc"};
  int changed = 0;
  for (int64_t& label : outcome.predictions)
    if (label == 0 && changed < 2) {
      label = 3;
      ++changed;
    }
  const FinetuneResult result = MakeFinetuneResult(plan, data, outcome);
  const ResultRecord& record = result.record();
  EXPECT_EQ(record.stage(), "finetune");
  EXPECT_EQ(record.label(), "mix");
  ASSERT_EQ(record.metrics_size(), 4);
  EXPECT_EQ(record.metrics(0).name(), "test_acc");
  EXPECT_DOUBLE_EQ(record.metrics(0).value(), 12.0 / 14);
  EXPECT_EQ(record.metrics(1).name(), "mean_class_acc");
  EXPECT_DOUBLE_EQ(record.metrics(1).value(), 13.0 / 15);
  EXPECT_EQ(record.metrics(2).name(), "best_val");
  EXPECT_EQ(record.metrics(3).value(), 7);
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
  const auto signature = [&](const FinetunePlan& other) {
    return MakeFinetuneResult(other, data, outcome).record().protocol_signature();
  };
  FinetuneConfig same = config;
  same.clear_ckpt();
  same.set_seed(2);
  same.set_fewshot_seed(2);
  same.set_n_point(24);
  same.set_n_ray(16);
  EXPECT_EQ(signature(PlanFinetune(same, nullptr).value()), record.protocol_signature());
  same.set_fewshot_k(1);
  EXPECT_NE(signature(PlanFinetune(same, nullptr).value()), record.protocol_signature());
  for (const char* change : {"n_point=23", "fewshot_n_way=3", "aug_rotate_z=1", "clip_grad_norm=1",
                             "lr_warmup_steps=4", "pt_xyz_key=pc_xyz", "mc_eval_k_val=2"}) {
    same = config;
    ASSERT_TRUE(ApplyOverride(change, &same).ok()) << change;
    EXPECT_NE(signature(GoldenPlan(same)), record.protocol_signature()) << change;
  }
}

}  // namespace
}  // namespace manyform

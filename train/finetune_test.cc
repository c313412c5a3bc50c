#include "train/finetune.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/files.h"
#include "base/json_lines.h"
#include "gtest/gtest.h"
#include "model/checkpoint.h"
#include "model/classifier_head.h"
#include "train/pretrain.h"
#include "train/testing/synthetic_cache.h"

namespace manyform {
namespace {

double Metric(const FinetuneResult& result, const std::string& name) {
  for (const auto& metric : result.record().metrics())
    if (metric.name() == name) return metric.value();
  ADD_FAILURE() << "no " << name;
  return -1;
}

double Number(const JsonRow& row, const std::string& key) {
  for (const auto& [name, value] : row)
    if (name == key && std::holds_alternative<double>(value)) return std::get<double>(value);
  ADD_FAILURE() << "no " << key;
  return -1;
}

class FinetuneTest : public testing::Test {
 protected:
  // 3 classes of 8 shapes to train on, of 6 to test on, and a checkpoint.
  static void SetUpTestSuite() {
    std::filesystem::remove_all(Base());
    WriteSyntheticSplit({.root = Cache(), .shapes_per_class = 8}, "train");
    WriteSyntheticSplit({.root = Cache(), .shapes_per_class = 6, .seed = 9}, "test");
    PretrainConfig config;
    config.set_cache_root(Cache());
    config.set_save_dir(Base() + "/pretrained");
    config.set_batch(8);
    config.set_epochs(4);
    config.set_n_point(24);
    config.set_n_ray(8);
    config.set_d_model(24);
    config.set_layers(2);
    config.set_heads(2);
    config.set_lr(1e-3);
    config.set_qa_tokens(true);
    config.set_num_threads(1);
    ASSERT_TRUE(Pretrain(config).ok());
  }
  static std::string Base() { return testing::TempDir() + "/finetune"; }
  static std::string Cache() { return Base() + "/cache"; }
  static std::string Pretrained() { return Base() + "/pretrained/last.safetensors"; }

  static FinetuneConfig Config() {
    FinetuneConfig config;
    config.set_cache_root(Cache());
    config.set_ckpt(Pretrained());
    config.set_batch(8);
    config.set_epochs(12);
    config.set_lr(2e-3);
    config.set_val_ratio(0.25);
    config.set_num_threads(1);
    return config;
  }
  static std::vector<int64_t> Confusion(const FinetuneResult& result) {
    return {result.confusion().begin(), result.confusion().end()};
  }
};

TEST_F(FinetuneTest, LearnsTheClassesAndTestsTheBestValidationEpoch) {
  FinetuneConfig config = Config();
  config.set_epochs(30);
  config.set_batch(4);
  config.set_lr(5e-3);
  config.set_pt_sample_mode_train("fps");
  config.set_save_dir(Base() + "/learns");
  const auto result = Finetune(config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->record().label(), "pretrained");
  EXPECT_EQ(result->record().checkpoint_hash(), LoadModel(Pretrained()).value().hash);
  int64_t right = 0;
  for (int c = 0; c < 3; ++c) right += result->confusion(4 * c);
  EXPECT_DOUBLE_EQ(Metric(*result, "test_acc"), static_cast<double>(right) / 18);

  // The first epoch with the largest validation accuracy.
  const std::vector<JsonRow> log = ReadJsonLines(config.save_dir() + "/log.jsonl").value();
  ASSERT_EQ(log.size(), 30u);
  size_t best = 0;
  for (size_t i = 0; i < log.size(); ++i)
    if (Number(log[i], "val_acc") > Number(log[best], "val_acc")) best = i;
  EXPECT_EQ(Metric(*result, "best_val"), Number(log[best], "val_acc"));
  EXPECT_EQ(Metric(*result, "best_ep"), best);
  EXPECT_LT(Number(log.back(), "loss"), 0.75 * Number(log.front(), "loss"));
  const Checkpoint kept = ReadCheckpoint(config.save_dir() + "/best.safetensors").value();
  EXPECT_EQ(kept.header.epoch(), best + 1);
  EXPECT_EQ(kept.header.stage(), "finetune");
  EXPECT_EQ(kept.header.class_names_size(), 3);

  // A run that ends there tests the same weights.
  config.clear_save_dir();
  config.set_epochs(static_cast<int>(best) + 1);
  EXPECT_EQ(Confusion(Finetune(config).value()), Confusion(*result));
  // And one without validation of as many epochs on the same shapes need not, but says which it tests.
  config.set_val_ratio(0);
  config.set_epochs(2);
  const auto blind = Finetune(config);
  ASSERT_TRUE(blind.ok()) << blind.status();
  EXPECT_EQ(Metric(*blind, "best_ep"), 1);
  EXPECT_EQ(blind->record().metrics_size(), 3);  // no best_val
}

TEST_F(FinetuneTest, LoaderThreadsDoNotMatterAndFinishedRunsAreNotRepeated) {
  FinetuneConfig one = Config(), many = Config();
  one.set_epochs(3);
  many.set_epochs(3);
  many.set_num_workers(3);
  one.set_save_dir(Base() + "/one");
  many.set_save_dir(Base() + "/many");
  const FinetuneResult first = Finetune(one).value();
  EXPECT_EQ(Confusion(first), Confusion(Finetune(many).value()));
  const std::string bytes = ReadFile(one.save_dir() + "/last.safetensors").value();
  EXPECT_EQ(bytes, ReadFile(many.save_dir() + "/last.safetensors").value());
  const FinetuneResult again = Finetune(one).value();
  EXPECT_EQ(Confusion(again), Confusion(first));
  EXPECT_EQ(Metric(again, "best_val"), Metric(first, "best_val"));
  EXPECT_EQ(ReadFile(one.save_dir() + "/last.safetensors").value(), bytes);
  EXPECT_EQ(ReadJsonLines(one.save_dir() + "/log.jsonl").value().size(), 3u);
  one.set_lr(0.1);
  EXPECT_TRUE(absl::StrContains(Finetune(one).status().message(), "lr 0.002, now 0.1"));
}

TEST_F(FinetuneTest, AProbeLeavesTheBackboneAlone) {
  FinetuneConfig config = Config();
  config.set_freeze_backbone(true);
  config.set_save_dir(Base() + "/probe");
  ASSERT_TRUE(Finetune(config).ok());
  const LoadedModel after = LoadModel(config.save_dir() + "/last.safetensors").value();
  EXPECT_EQ(after.hash, LoadModel(Pretrained()).value().hash);
  const Checkpoint checkpoint = ReadCheckpoint(config.save_dir() + "/last.safetensors").value();
  ASSERT_EQ(checkpoint.exp_avg.size(), 2u);
  EXPECT_EQ(checkpoint.aux_heads.size(), 2u);
  EXPECT_FALSE(checkpoint.aux_heads[0].second.equal(
      ClassifierHead(24, 3, 0).parameters()[checkpoint.aux_heads[0].first == "cls.weight" ? 0 : 1].second));
}

TEST_F(FinetuneTest, FromScratchWithFewShots) {
  FinetuneConfig config = Config();
  config.clear_ckpt();
  config.set_n_point(16);
  config.set_n_ray(8);
  config.set_d_model(16);
  config.set_layers(1);
  config.set_heads(2);
  config.set_fewshot_k(2);
  config.set_epochs(2);
  config.set_mc_eval_k(2);
  config.set_pt_sample_mode_eval("random");
  config.set_save_dir(Base() + "/scratch");
  const auto result = Finetune(config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->record().label(), "scratch");
  EXPECT_EQ(result->record().checkpoint_hash(), "");
  const LoadedModel loaded = LoadModel(config.save_dir() + "/last.safetensors").value();
  EXPECT_EQ(loaded.header.n_types(), 5);
  EXPECT_EQ(loaded.header.step(), 2);  // 6 shapes are one batch
  EXPECT_EQ(loaded.header.max_len(), 26);
}

TEST_F(FinetuneTest, ScaledUpSequencesResizePositions) {
  FinetuneConfig config = Config();
  config.set_epochs(1);
  config.set_n_point(28);
  config.set_allow_scale_up(true);
  config.set_save_dir(Base() + "/scaled");
  const auto result = Finetune(config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(LoadModel(config.save_dir() + "/best.safetensors").value().header.max_len(), 74);
}

// The losses of one epoch under options as on a command line.
std::vector<double> Losses(FinetuneConfig config, const std::vector<std::string>& options) {
  config.set_save_dir(testing::TempDir() + "/finetune/losses");
  std::filesystem::remove_all(config.save_dir());
  config.set_epochs(3);
  for (const std::string& option : options) EXPECT_TRUE(ApplyOverride(option, &config).ok()) << option;
  const auto result = Finetune(config);
  EXPECT_TRUE(result.ok()) << result.status();
  std::vector<double> losses;
  const std::vector<JsonRow> log = ReadJsonLines(config.save_dir() + "/log.jsonl").value();
  for (const JsonRow& row : log) losses.push_back(Number(row, "loss"));
  return losses;
}

TEST_F(FinetuneTest, EveryOptionReachesTheTraining) {
  const std::vector<double> plain = Losses(Config(), {});
  EXPECT_EQ(Losses(Config(), {"aug_preset=none", "lr_schedule=constant", "clip_grad_norm=1e9"}), plain);
  for (const char* option :
       {"aug_preset=modelnet40", "aug_preset=scanobjectnn", "aug_jitter_sigma=0.05", "ablate_point_dist=1",
        "include_pt_grad=1", "include_ray_unc=1", "qa_layout=split", "drop_ray_prob_train=0.5",
        "lr_warmup_steps=6", "clip_grad_norm=1e-3"})
    EXPECT_NE(Losses(Config(), {option}), plain) << option;
  EXPECT_NE(Losses(Config(), {"lr_schedule=cosine", "lr_min=1e-4"}), plain);
  EXPECT_NE(Losses(Config(), {"backend=pointcloud", "pt_xyz_key=pc_xyz"}),
            Losses(Config(), {"backend=pointcloud"}));
}

TEST_F(FinetuneTest, TheRateFollowsItsSchedule) {
  FinetuneConfig config = Config();
  config.set_epochs(4);  // of three steps
  config.set_lr_schedule("cosine");
  config.set_lr_min(1e-4);
  config.set_lr_warmup_steps(6);
  config.set_save_dir(Base() + "/cosine");
  ASSERT_TRUE(Finetune(config).ok());
  const std::vector<JsonRow> log = ReadJsonLines(config.save_dir() + "/log.jsonl").value();
  ASSERT_EQ(log.size(), 4u);
  EXPECT_DOUBLE_EQ(Number(log[0], "lr"), 1e-3);
  EXPECT_DOUBLE_EQ(Number(log[1], "lr"), 2e-3);
  EXPECT_NEAR(Number(log[3], "lr"), 1e-4 + 1.9e-3 * 0.5 * (1 + std::cos(M_PI * 5 / 6)), 1e-9);
}

TEST_F(FinetuneTest, PickedClassesAreTheOnlyOnes) {
  FinetuneConfig config = Config();
  config.set_fewshot_n_way(2);
  config.set_fewshot_k(2);
  config.set_fewshot_way_seed(1);
  config.set_epochs(2);
  config.set_save_dir(Base() + "/way");
  const auto result = Finetune(config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->classes_size(), 2);
  EXPECT_EQ(result->confusion_size(), 4);
  EXPECT_EQ(result->classes(0).test_shapes(), 6);
  EXPECT_EQ(ReadCheckpoint(config.save_dir() + "/last.safetensors")->header.class_names_size(), 2);
}

TEST_F(FinetuneTest, AnEncoderDecoderIsTunedAsItWillBeMeasured) {
  PretrainConfig pretrain;
  pretrain.set_cache_root(Cache());
  pretrain.set_save_dir(Base() + "/encdec");
  pretrain.set_batch(8);
  pretrain.set_epochs(2);
  pretrain.set_n_point(24);
  pretrain.set_n_ray(8);
  pretrain.set_d_model(24);
  pretrain.set_layers(1);
  pretrain.set_heads(2);
  pretrain.set_arch("encdec");
  pretrain.set_topo_k(6);
  pretrain.set_encdec_src_causal(true);
  pretrain.set_num_threads(1);
  ASSERT_TRUE(Pretrain(pretrain).ok());
  FinetuneConfig config = Config();
  config.set_ckpt(Base() + "/encdec/last.safetensors");
  config.set_epochs(20);
  config.set_lr(5e-3);
  config.set_drop_ray_prob_train(0.3);
  config.set_save_dir(Base() + "/encdec_tuned");
  const auto result = Finetune(config);
  ASSERT_TRUE(result.ok()) << result.status();
  const std::vector<JsonRow> log = ReadJsonLines(config.save_dir() + "/log.jsonl").value();
  EXPECT_LT(Number(log.back(), "loss"), 0.9 * Number(log.front(), "loss"));
  const LoadedModel tuned = LoadModel(config.save_dir() + "/best.safetensors").value();
  EXPECT_EQ(tuned.model.config().arch, Architecture::kEncoderDecoder);
  EXPECT_EQ(tuned.model.config().topology.k, 6);
  EXPECT_FALSE(tuned.header.encdec_src_causal());
  // The result comes from the weights that were kept, read back.
  EXPECT_EQ(Confusion(Finetune(config).value()), Confusion(*result));
}

TEST_F(FinetuneTest, ConfigsThatCannotBe) {
  FinetuneConfig config = Config();
  config.set_ckpt(Base() + "/nowhere.safetensors");
  EXPECT_EQ(Finetune(config).status().code(), absl::StatusCode::kNotFound);
  config = Config();
  config.set_test_split("exam");
  EXPECT_EQ(Finetune(config).status().code(), absl::StatusCode::kNotFound);
  config = Config();
  config.set_val_ratio(1);
  EXPECT_FALSE(Finetune(config).ok());
  config = Config();
  config.set_lr(1e30);
  config.set_save_dir(Base() + "/explodes");
  const absl::Status status = Finetune(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  for (const char* part : {" at step ", "), shapes ", "/", "last good checkpoint: "})
    EXPECT_TRUE(absl::StrContains(status.message(), part)) << status;
}

}  // namespace
}  // namespace manyform

#include "train/pretrain_options.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "model/checkpoint.h"
#include "train/pretrain.h"
#include "train/testing/small_pretrain.h"

namespace manyform {
namespace {

using PretrainOptions = SmallPretrain;

// Everything at once: masks, terms, a teacher, sizes and rates that change.
void AskForEverything(const std::string& teacher, PretrainConfig* config) {
  config->set_epochs(4);
  config->set_accumulate(2);
  config->set_lr_schedule("cosine");
  config->set_lr_warmup_steps(2);
  config->set_clip_grad_norm(0.5);
  config->set_n_point_schedule("0:4,1:6,3:5");
  config->set_n_ray_schedule("2:6");
  config->set_dual_mask_near(0.4);
  config->set_dual_mask_far(0.1);
  config->set_dual_mask_window(8);
  config->set_aux_b2_weight(0.5);
  config->set_aux_b3_weight(0.5);
  config->set_aux_e_weight(0.5);
  config->set_cycle_weight(0.3);
  config->set_d_hard_weight(0.2);
  config->set_d_hard_min_tokens(2);
  config->set_teacher_ckpt(teacher);
  config->set_teacher_distill_weight(0.5);
  config->set_teacher_answer_drop_prob(0.4);
  config->set_include_pt_grad(true);
  config->set_include_ray_unc(true);
}

TEST_F(PretrainOptions, EverythingAtOnceResumesBitForBit) {
  PretrainConfig teacher = Config("teacher");
  teacher.set_epochs(0);
  ASSERT_TRUE(Pretrain(teacher).ok());
  PretrainConfig whole = Config("whole"), parts = Config("parts");
  for (PretrainConfig* config : {&whole, &parts}) AskForEverything(Last(teacher), config);
  const auto result = Pretrain(whole);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->steps(), 8);  // three batches make two steps
  // Stopped after two epochs: what was logged since is dropped, what was learned since is learned again.
  std::filesystem::create_directories(parts.save_dir());
  std::filesystem::copy(whole.save_dir() + "/ckpt_ep001.safetensors", Last(parts));
  std::filesystem::copy(whole.save_dir() + "/log.jsonl", parts.save_dir() + "/log.jsonl");
  ASSERT_TRUE(Pretrain(parts).ok());
  EXPECT_EQ(LastBytes(parts), LastBytes(whole));

  const std::vector<JsonRow> log = Log(whole), resumed = Log(parts);
  ASSERT_EQ(log.size(), 8u);
  ASSERT_EQ(resumed.size(), 8u);
  for (size_t i = 0; i < log.size(); ++i) {
    double sum = Number(log[i], "loss_nepa") + 0.5 * Number(log[i], "loss_b2") +
                 0.5 * Number(log[i], "loss_b3") + 0.5 * Number(log[i], "loss_e") +
                 0.2 * Number(log[i], "loss_d") + 0.5 * Number(log[i], "loss_distill") +
                 0.3 * Number(log[i], "loss_cycle");
    EXPECT_NEAR(Number(log[i], "loss"), sum, 1e-5);
    EXPECT_EQ(Number(log[i], "loss"), Number(resumed[i], "loss")) << i;
  }
  EXPECT_DOUBLE_EQ(Number(log[0], "lr"), 5e-4);
  EXPECT_DOUBLE_EQ(Number(log[2], "lr"), 1e-3);
  EXPECT_LT(Number(log[7], "lr"), 2e-4);
  const Checkpoint checkpoint = ReadCheckpoint(Last(whole)).value();
  EXPECT_EQ(checkpoint.header.max_len(), 2 + 2 * (6 + 6));
  EXPECT_EQ(checkpoint.header.n_point(), 5);
  EXPECT_EQ(checkpoint.header.n_ray(), 6);
  EXPECT_EQ(checkpoint.aux_heads.size(), 8u);
}

TEST_F(PretrainOptions, AccumulatedBatchesAreOneLargeBatch) {
  PretrainConfig large = Config("large"), small = Config("small");
  large.set_epochs(1);
  small.set_epochs(1);
  small.set_batch(2);
  small.set_accumulate(2);
  ASSERT_TRUE(Pretrain(large).ok());
  ASSERT_TRUE(Pretrain(small).ok());
  const std::vector<JsonRow> a = Log(large), b = Log(small);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(Number(a[i], "loss"), Number(b[i], "loss"), 1e-4) << i;
}

TEST_F(PretrainOptions, ClippedGradientsMakeSmallerSteps) {
  // The first step of AdamW does not depend on the gradient's size, later ones do through its moments.
  PretrainConfig free = Config("free"), clipped = Config("clipped");
  clipped.set_clip_grad_norm(1e-12);
  ASSERT_TRUE(Pretrain(free).ok());
  ASSERT_TRUE(Pretrain(clipped).ok());
  const auto moment = [](const PretrainConfig& config) {
    double largest = 0;
    const Checkpoint checkpoint = ReadCheckpoint(Last(config)).value();
    for (const auto& [name, tensor] : checkpoint.exp_avg)
      largest = std::max(largest, tensor.abs().max().item<double>());
    return largest;
  };
  EXPECT_GT(moment(free), 1e-6);
  EXPECT_LT(moment(clipped), 1e-11);
  EXPECT_GT(Number(Log(clipped)[0], "grad_norm"), 1e-3);  // as it was before
}

TEST_F(PretrainOptions, TheEncoderDecoderTrainsAndIsWhatItsCheckpointSays) {
  PretrainConfig config = Config("run");
  config.set_epochs(10);
  config.set_arch("encdec");
  config.set_topo_k(3);
  config.set_topo_ray_coord("proj");
  config.set_encdec_src_causal(true);
  config.set_qa_tokens(false);  // implied
  const auto result = Pretrain(config);
  ASSERT_TRUE(result.ok()) << result.status();
  const std::vector<JsonRow> log = Log(config);
  EXPECT_LT(Number(log.back(), "loss"), 0.9 * Number(log.front(), "loss"));
  const LoadedModel loaded = LoadModel(Last(config)).value();
  EXPECT_EQ(loaded.header.qa_layout(), "split");
  EXPECT_EQ(loaded.model.config().arch, Architecture::kEncoderDecoder);
  EXPECT_EQ(loaded.model.config().topology.k, 3);
  EXPECT_EQ(loaded.model.config().topology.ray_place, RayPlace::kProjection);
  EXPECT_TRUE(loaded.header.encdec_src_causal());
  EXPECT_FALSE(loaded.model.config().encdec_src_causal);
}

TEST_F(PretrainOptions, OnlyTheLastCheckpointsAreKept) {
  PretrainConfig config = Config("run");
  config.set_epochs(5);
  config.set_keep_last(2);
  config.set_save_every_minutes(1e-9);
  ASSERT_TRUE(Pretrain(config).ok());
  std::vector<std::string> kept;
  const std::vector<std::string> names = ListDirectory(config.save_dir()).value();
  for (const std::string& name : names)
    if (absl::StartsWith(name, "ckpt_ep")) kept.push_back(name);
  EXPECT_EQ(kept, (std::vector<std::string>{"ckpt_ep003.safetensors", "ckpt_ep004.safetensors"}));
}

TEST_F(PretrainOptions, TimePassesAcrossShortEpochs) {
  PretrainConfig config = Config("run");
  config.set_batch(100);  // an epoch is one step
  config.set_save_every(1000);
  config.set_save_every_minutes(1e-9);
  config.set_epochs(9);
  config.set_n_point_schedule("5:97");  // more than the shapes have
  EXPECT_FALSE(Pretrain(config).ok());
  EXPECT_EQ(ReadCheckpoint(Last(config))->header.step(), 5);
}

TEST_F(PretrainOptions, TheLastCheckpointGoesIfAsked) {
  PretrainConfig kept = Config("kept"), gone = Config("gone");
  gone.set_save_last(false);
  ASSERT_TRUE(Pretrain(kept).ok());
  const auto result = Pretrain(gone);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(FileExists(Last(gone)));
  EXPECT_EQ(result->checkpoint(), gone.save_dir() + "/ckpt_ep001.safetensors");
  EXPECT_EQ(ReadFile(result->checkpoint()).value(), LastBytes(kept));
}

TEST_F(PretrainOptions, TheOptimizersStateIsTakenOverAsAsked) {
  PretrainConfig first = Config("first");
  ASSERT_TRUE(Pretrain(first).ok());  // 6 steps
  const auto steps = [&](const std::string& name, auto&& change) {
    PretrainConfig second = Config(name);
    second.set_resume(Last(first));
    second.set_epochs(3);
    change(second);
    EXPECT_TRUE(Pretrain(second).ok());
    const Checkpoint checkpoint = ReadCheckpoint(Last(second)).value();
    std::map<std::string, double> steps;
    for (const auto& [parameter, tensor] : checkpoint.step) steps[parameter] = tensor.item().toDouble();
    return steps;
  };
  const auto resized = [](PretrainConfig& c) { c.set_max_len(40); };
  EXPECT_EQ(steps("resize", resized)["pos_emb"], 9);
  const auto dropped = steps("drop", [&](PretrainConfig& c) {
    resized(c);
    c.set_resume_pos_emb_moments("drop");
  });
  EXPECT_EQ(dropped.at("pos_emb"), 3);
  EXPECT_EQ(dropped.at("pred_head.bias"), 9);
  const auto whole_or_nothing = steps("partial", [&](PretrainConfig& c) {
    resized(c);
    c.set_resume_optimizer_partial(false);
  });
  EXPECT_EQ(whole_or_nothing.at("pred_head.bias"), 3);
  EXPECT_EQ(steps("fresh", [](PretrainConfig& c) { c.set_resume_optimizer(false); })["pos_emb"], 3);
  EXPECT_EQ(steps("heads", [](PretrainConfig& c) { c.set_aux_e_weight(1); })["pos_emb"], 3);
}

TEST_F(PretrainOptions, WhatHasNoEffectIsRefusedByName) {
  const auto refused = [&](const std::string& name, auto&& change) {
    PretrainConfig config = Config("run");
    change(config);
    const absl::Status status = Pretrain(config).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    // Programs exit with 2.
    EXPECT_TRUE(IsBadConfig(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), name)) << status;
  };
  refused("aux_b3_weight", [](PretrainConfig& c) {
    c.set_objective("mae");
    c.set_aux_b3_weight(1);
  });
  refused("dual_mask_far", [](PretrainConfig& c) {
    c.set_arch("encdec");
    c.set_dual_mask_far(0.5);
  });
  refused("topo_k", [](PretrainConfig& c) { c.set_topo_k(2); });
  refused("encdec_src_causal", [](PretrainConfig& c) { c.set_encdec_src_causal(true); });
  refused("teacher_ckpt", [](PretrainConfig& c) { c.set_teacher_distill_weight(1); });
  refused("teacher_ckpt", [](PretrainConfig& c) { c.set_teacher_ckpt("x.safetensors"); });
  refused("lr_min", [](PretrainConfig& c) { c.set_lr_min(1e-5); });
  refused("lr_min", [](PretrainConfig& c) {
    c.set_lr_schedule("cosine");
    c.set_lr_min(1);
  });
  refused("n_ray_schedule", [](PretrainConfig& c) { c.set_n_ray_schedule("soon"); });
  refused("max_len", [](PretrainConfig& c) {
    c.set_n_point_schedule("1:50");
    c.set_max_len(60);
  });
}

}  // namespace
}  // namespace manyform

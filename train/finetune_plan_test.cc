#include "train/finetune_plan.h"

#include <functional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "base/config.h"
#include "gtest/gtest.h"
#include "train/testing/golden_finetune.h"

namespace manyform {
namespace {

TEST(FinetunePlanTest, SizesAreCappedOrScaledAsPublished) {
  FinetuneConfig config = GoldenConfig();
  FinetunePlan plan = GoldenPlan(config);
  EXPECT_EQ(plan.config.n_point(), 24);
  EXPECT_EQ(plan.sizes.max_len, 128);
  config.set_n_point(99);
  config.set_n_ray(99);
  plan = GoldenPlan(config);
  EXPECT_EQ(plan.config.n_point(), 24);
  EXPECT_EQ(plan.config.n_ray(), 16);
  EXPECT_EQ(plan.sizes.max_len, 128);
  config.set_n_point(60);
  config.set_n_ray(20);
  config.set_allow_scale_up(true);
  plan = GoldenPlan(config);
  EXPECT_EQ(plan.config.n_point(), 60);
  EXPECT_EQ(plan.config.n_ray(), 20);
  EXPECT_EQ(plan.sizes.max_len, 162);  // "[ckpt] resizing pos_emb: ckpt_len=128 -> max_len=162"
  const CheckpointHeader header = GoldenHeader();
  config.set_max_len(161);
  EXPECT_TRUE(absl::StrContains(PlanFinetune(config, &header).status().message(), "max_len"));
  config.set_max_len(300);
  EXPECT_EQ(GoldenPlan(config).sizes.max_len, 300);
}

TEST(FinetunePlanTest, LayoutFollowsTheCheckpointUnlessTold) {
  CheckpointHeader header = GoldenHeader();
  header.set_qa_layout("split");
  header.set_add_eos(false);
  FinetuneConfig config = GoldenConfig();
  FinetunePlan plan = PlanFinetune(config, &header).value();
  EXPECT_EQ(plan.config.qa_tokens(), 1);
  EXPECT_EQ(plan.config.qa_layout(), "split");
  EXPECT_EQ(plan.config.add_eos(), 0);
  config.set_qa_layout("interleave");  // as the published program does
  EXPECT_EQ(PlanFinetune(config, &header)->config.qa_layout(), "interleave");
  config.set_qa_tokens(0);
  config.set_add_eos(1);
  plan = PlanFinetune(config, &header).value();
  EXPECT_EQ(plan.config.qa_tokens(), 0);
  EXPECT_EQ(plan.config.add_eos(), 1);
  config.set_qa_tokens(1);
  header.set_n_types(5);
  EXPECT_TRUE(absl::StrContains(PlanFinetune(config, &header).status().message(), "qa_tokens"));
  // From scratch: legacy tokens, as the published baseline.
  plan = PlanFinetune(GoldenConfig(), nullptr).value();
  EXPECT_EQ(plan.sizes.n_types, 5);
  EXPECT_EQ(plan.sizes.max_len, 1026);
  EXPECT_EQ(plan.sizes.d_model, 384);
  EXPECT_EQ(plan.config.qa_layout(), "interleave");
  plan = PlanFinetune(config, nullptr).value();
  EXPECT_EQ(plan.sizes.n_types, 9);
}

TEST(FinetunePlanTest, FeaturesFollowTheCheckpointUnlessTold) {
  CheckpointHeader header = GoldenHeader();
  header.set_config(
      "include_pt_grad: true pt_grad_mode: 'log' pt_grad_clip: 3 include_ray_unc: true ray_unc_k: 5");
  FinetunePlan plan = PlanFinetune(GoldenConfig(), &header).value();
  EXPECT_TRUE(plan.config.include_pt_grad() && plan.config.include_ray_unc());
  EXPECT_EQ(plan.config.pt_grad_mode(), "log");
  EXPECT_EQ(plan.config.pt_grad_clip(), 3);
  EXPECT_EQ(plan.config.ray_unc_k(), 5);
  // A fine-tuned checkpoint hands them on.
  CheckpointHeader tuned = GoldenHeader();
  tuned.set_stage("finetune");
  tuned.set_config(plan.config.DebugString());
  EXPECT_EQ(PlanFinetune(GoldenConfig(), &tuned)->config.pt_grad_mode(), "log");
  // Published fine-tuning leaves them out.
  FinetuneConfig config = GoldenConfig();
  config.set_include_pt_grad(false);
  config.set_ray_unc_k(9);
  plan = PlanFinetune(config, &header).value();
  EXPECT_FALSE(plan.config.include_pt_grad());
  EXPECT_EQ(plan.config.ray_unc_k(), 9);
  EXPECT_FALSE(GoldenPlan(GoldenConfig()).config.include_pt_grad());
  header.set_config("{}}");
  EXPECT_EQ(PlanFinetune(GoldenConfig(), &header).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(FinetunePlanTest, PresetsAndFallbacksAreWrittenOut) {
  FinetuneConfig config = GoldenConfig();
  config.set_aug_preset("modelnet40");
  config.set_aug_scale_min(0.5);
  config.set_eval_backend("voxel");
  config.set_mc_eval_k(3);
  config.set_mc_eval_k_test(4);
  config.set_fewshot_seed(6);
  const FinetuneConfig plan = GoldenPlan(config).config;
  EXPECT_EQ(plan.aug_scale_min(), 0.5);
  EXPECT_EQ(plan.aug_scale_max(), 1.25);
  EXPECT_EQ(plan.aug_translate(), 0.1);
  EXPECT_EQ(plan.train_backend(), "mesh");
  EXPECT_EQ(plan.eval_backend(), "voxel");
  EXPECT_EQ(plan.mc_eval_k_val(), 3);
  EXPECT_EQ(plan.mc_eval_k_test(), 4);
  EXPECT_EQ(plan.fewshot_way_seed(), 6);
  EXPECT_EQ(plan.d_model(), 48);
  // What is written out means the same again.
  EXPECT_EQ(GoldenPlan(plan).config.SerializeAsString(), plan.SerializeAsString());
}

void ExpectRefused(const std::string& field, const CheckpointHeader* from,
                   const std::function<void(FinetuneConfig&)>& change) {
  FinetuneConfig config = GoldenConfig();
  change(config);
  const absl::Status status = PlanFinetune(config, from).status();
  EXPECT_TRUE(IsBadConfig(status)) << field << " " << status;
  EXPECT_TRUE(absl::StartsWith(status.message(), field)) << status;
}

TEST(FinetunePlanTest, WhatDoesNotGoTogetherIsRefusedByName) {
  const CheckpointHeader header = GoldenHeader();
  ExpectRefused("d_model", &header, [](auto& c) { c.set_d_model(384); });
  ExpectRefused("mc_eval_k_test", &header, [](auto& c) { c.set_mc_eval_k_test(0); });
  ExpectRefused("lr_min", &header, [](auto& c) { c.set_lr_min(1e-6); });
  ExpectRefused("lr_min", &header, [](auto& c) {
    c.set_lr_schedule("cosine");
    c.set_lr_min(1);
  });
  ExpectRefused("aug_scale_min", &header, [](auto& c) { c.set_aug_scale_min(2); });
}

TEST(FinetunePlanTest, AnEncoderDecoderHasItsOwnLayoutAndAttention) {
  CheckpointHeader header = GoldenHeader();
  header.set_arch("encdec");
  header.set_encdec_src_causal(true);
  header.set_qa_layout("split");
  const FinetunePlan plan = PlanFinetune(GoldenConfig(), &header).value();
  EXPECT_EQ(plan.sizes.arch, Architecture::kEncoderDecoder);
  EXPECT_FALSE(plan.sizes.encdec_src_causal);  // as everything that measures has it
  ExpectRefused("qa_tokens", &header, [](auto& c) { c.set_qa_tokens(0); });
  ExpectRefused("qa_layout", &header, [](auto& c) { c.set_qa_layout("interleave"); });
  ExpectRefused("cls_is_causal", &header, [](auto& c) { c.set_cls_is_causal(true); });
  ExpectRefused("cls_pooling", &header, [](auto& c) { c.set_cls_pooling("eos"); });
}

}  // namespace
}  // namespace manyform

#include "tools/pipeline/expand.h"

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

class ExpandTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
    config_.set_out_root(root_);
  }
  void Use(const std::string& profile) {
    config_.clear_experiment();
    for (const std::string& name : {std::string("m1"), profile})
      config_.add_experiment("tools/pipeline/m1/" + name + ".textproto");
  }
  std::string Read(const std::string& name) const { return ReadFile(JoinPath(root_, name)).value(); }
  std::string root_;
  ExpandConfig config_;
};

TEST_F(ExpandTest, TheTableInBothProfiles) {
  for (const char* profile : {"paper", "small"}) {
    Use(profile);
    const auto result = ExpandExperiment(config_);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->pretrainings(), 4);
    EXPECT_EQ(result->cells(), 75);
  }
}

TEST_F(ExpandTest, PublishedSettings) {
  Use("paper");
  ASSERT_TRUE(ExpandExperiment(config_).ok());
  const std::string cell = Read("jobs/scan_shapenet_mix_nepa_k10_s2.textproto");
  for (const char* line : {"batch: 128", "epochs: 100", "lr: 0.0001", "n_point: 256", "n_ray: 0", "seed: 2",
                           "fewshot_k: 10", "fewshot_seed: 2", "mc_eval_k_val: 1", "mc_eval_k_test: 4",
                           "backend: \"pointcloud_noray\"", "label: \"shapenet_mix_nepa\""})
    EXPECT_TRUE(absl::StrContains(cell, absl::StrCat("\n", line, "\n"))) << line << "\n" << cell;
  const std::string pretraining = Read("jobs/shapenet_mesh_udf_nepa_s0.textproto");
  for (const char* line :
       {"batch: 32", "epochs: 50", "lr: 0.0003", "n_point: 256", "n_ray: 256", "d_model: 384",
        "drop_ray_prob: 0.3", "mix_num_samples: 200000", "objective: \"nepa\""})
    EXPECT_TRUE(absl::StrContains(pretraining, absl::StrCat("\n", line, "\n"))) << line << "\n"
                                                                                << pretraining;
}

TEST_F(ExpandTest, WhoWaitsForWhom) {
  Use("paper");
  ASSERT_TRUE(ExpandExperiment(config_).ok());
  const std::vector<std::string> jobs = absl::StrSplit(Read("jobs.txt"), '\n', absl::SkipEmpty());
  ASSERT_EQ(jobs.size(), 79u);
  EXPECT_EQ(jobs[0], "0 shapenet_mesh_nepa_s0 -");
  EXPECT_EQ(jobs[4], "4 scan_scratch_k0_s0 -");
  EXPECT_EQ(jobs[78], "78 scan_shapenet_mix_mae_k20_s2 3");
  const std::string rules = Read("jobs.mk"), runs = root_ + "/runs/";
  EXPECT_TRUE(absl::StrContains(rules, runs + "scan_shapenet_nepa_k5_s1/record.binpb: " + runs +
                                           "shapenet_mesh_nepa_s0/record.binpb\n"));
  EXPECT_TRUE(absl::StrContains(
      rules, runs + "shapenet_mix_mae_s0/record.binpb: data/scanobjectnn_cache_v2/manifest.binpb\n"));
  EXPECT_FALSE(absl::StrContains(rules, "scan_scratch_k0_s0/record.binpb: " + runs));
}

TEST_F(ExpandTest, WhatIsThereKeepsItsTime) {
  Use("paper");
  ASSERT_TRUE(ExpandExperiment(config_).ok());
  EXPECT_EQ(ExpandExperiment(config_)->written(), 0);
  const std::string change = JoinPath(root_, "change.textproto");
  ASSERT_TRUE(WriteFileAtomically(change, "finetune { epochs: 3 }").ok());
  config_.add_experiment(change);
  EXPECT_EQ(ExpandExperiment(config_)->written(), 76) << "the cells and the merged declaration";
}

TEST_F(ExpandTest, WhatMakeCannotReadIsRefused) {
  Use("paper");
  config_.set_out_root(root_ + "/a b");
  const absl::Status status = ExpandExperiment(config_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "out_root")) << status;
  EXPECT_FALSE(FileExists(config_.out_root()));
}

}  // namespace
}  // namespace manyform

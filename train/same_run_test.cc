#include "train/same_run.h"

#include <string>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

CheckpointHeader HeaderOf(const PretrainConfig& config) {
  CheckpointHeader header;
  header.set_config_fingerprint(RunFingerprint(config));
  header.set_config(RunConfigText(config));
  header.set_data_fingerprint("data");
  return header;
}

TEST(SameRunTest, EpochsThreadsAndPathsDoNotMatter) {
  PretrainConfig config;
  const CheckpointHeader header = HeaderOf(config);
  config.set_epochs(99);
  config.set_num_threads(7);
  config.set_save_dir("elsewhere");
  config.set_lr(3e-4);  // what it was by default
  EXPECT_TRUE(CheckSameRun("c", header, config, "data").ok());
  EXPECT_FALSE(absl::StrContains(header.config(), "save_dir"));
  EXPECT_FALSE(absl::StrContains(header.config(), "num_threads"));
}

TEST(SameRunTest, TheDifferenceIsNamed) {
  PretrainConfig config;
  const CheckpointHeader header = HeaderOf(config);
  config.set_heads(3);
  const absl::Status status = CheckSameRun("c", header, config, "data");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "made with heads 6, now 3")) << status;
  config.clear_heads();
  config.set_mix_config("mix.yaml");
  EXPECT_TRUE(absl::StrContains(CheckSameRun("c", header, config, "data").message(),
                                "mix_config not given, now \"mix.yaml\""));
  config.clear_mix_config();
  EXPECT_TRUE(absl::StrContains(CheckSameRun("c", header, config, "other").message(), "other inputs"));
}

TEST(SameRunTest, AnotherStagesCheckpointIsRefused) {
  const CheckpointHeader header = HeaderOf(PretrainConfig());
  EXPECT_EQ(CheckSameRun("c", header, FinetuneConfig(), "data").code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace manyform

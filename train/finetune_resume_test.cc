// The program itself, killed and interrupted at arbitrary points.
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/files.h"
#include "base/json_lines.h"
#include "base/result_writer.h"
#include "gtest/gtest.h"
#include "model/checkpoint.h"
#include "proto/train.pb.h"
#include "train/testing/program.h"
#include "train/testing/synthetic_cache.h"

namespace manyform {
namespace {

class FinetuneResumeTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    base_ = testing::TempDir() + "/ftresume";
    std::filesystem::remove_all(base_);
    WriteSyntheticSplit({.root = base_ + "/cache", .shapes_per_class = 6}, "train");
    WriteSyntheticSplit({.root = base_ + "/cache", .shapes_per_class = 3, .seed = 3}, "test");
    ASSERT_EQ(WaitForProgram(Start("whole")), 0) << ReadFile(base_ + "/whole.log").value();
    // The first start went through SleepBetweenParallelLoops; the others need not.
    setenv("OMP_WAIT_POLICY", "passive", 1);
  }
  // 12 steps an epoch, 16 epochs, a checkpoint at every third one.
  static pid_t Start(const std::string& name, const std::string& option = "save_every=3") {
    return StartProgram(
        "train/finetune",
        {"cache_root=" + base_ + "/cache", "save_dir=" + base_ + "/" + name, "batch=1", "epochs=16",
         "val_ratio=0.34", "n_point=8", "n_ray=4", "d_model=16", "layers=1", "heads=2", "lr=3e-3",
         "lr_schedule=cosine", "lr_warmup_steps=7", "clip_grad_norm=1", "aug_preset=modelnet40",
         "aug_jitter_sigma=0.02", "num_threads=1", "output=" + base_ + "/" + name + ".json", option},
        base_ + "/" + name + ".log");
  }
  int64_t Rows(const std::string& name) const {
    const auto text = ReadFile(base_ + "/" + name + "/log.jsonl");
    return text.ok() ? std::count(text->begin(), text->end(), '\n') : 0;
  }
  template <class... Option>
  int StopAt(const std::string& name, int64_t rows, int signal, const Option&... option) const {
    const pid_t child = Start(name, option...);
    while (Rows(name) < rows) {
      if (waitpid(child, nullptr, WNOHANG) == child) return -1000;
      absl::SleepFor(absl::Milliseconds(1));
    }
    kill(child, signal);
    return WaitForProgram(child);
  }
  FinetuneResult Result(const std::string& name) const {
    FinetuneResult result;
    EXPECT_TRUE(ReadResult(absl::StrCat(base_, "/", name, ".json"), &result).ok());
    result.clear_provenance();
    return result;
  }
  void ExpectSameAsWhole(const std::string& name) const {
    for (const std::string file : {"last.safetensors", "best.safetensors"})
      EXPECT_EQ(ReadFile(absl::StrCat(base_, "/", name, "/", file)).value(),
                ReadFile(absl::StrCat(base_, "/whole/", file)).value())
          << file;
    EXPECT_EQ(Result(name).SerializeAsString(), Result("whole").SerializeAsString());
    const auto ours = ReadJsonLines(base_ + "/" + name + "/log.jsonl").value();
    const auto whole = ReadJsonLines(base_ + "/whole/log.jsonl").value();
    ASSERT_EQ(ours.size(), 16u);
    for (size_t i = 0; i < ours.size(); ++i)
      for (const size_t key : {0, 1, 2, 3, 4, 5, 8, 9}) EXPECT_EQ(ours[i][key], whole[i][key]) << i;
  }
  static inline std::string base_;
};

TEST_F(FinetuneResumeTest, KilledRunsEndWhereTheWholeOneDoes) {
  for (const int64_t rows : {0, 3, 8}) {
    const std::string name = absl::StrCat("killed", rows);
    ASSERT_EQ(StopAt(name, rows, SIGKILL), -SIGKILL);
    EXPECT_FALSE(FileExists(absl::StrCat(base_, "/", name, ".json")));
    ASSERT_EQ(WaitForProgram(Start(name)), 0) << ReadFile(absl::StrCat(base_, "/", name, ".log")).value();
    ExpectSameAsWhole(name);
  }
}

TEST_F(FinetuneResumeTest, KilledAgainAndAgainWithinEpochs) {
  const std::string often = "save_every_minutes=1e-9";
  for (const int64_t rows : {1, 4, 8}) ASSERT_EQ(StopAt("often", rows, SIGKILL, often), -SIGKILL);
  ASSERT_EQ(WaitForProgram(Start("often", often)), 0);
  ExpectSameAsWhole("often");
}

TEST_F(FinetuneResumeTest, InterruptedRunsKeepEveryStep) {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
    const std::string name = absl::StrCat("interrupted", signal);
    EXPECT_EQ(StopAt(name, 4, signal), 1);
    const std::string said = ReadFile(base_ + "/" + name + ".log").value();
    EXPECT_TRUE(absl::StrContains(said, "error: interrupted at step ")) << said;
    const CheckpointHeader stopped = ReadCheckpoint(base_ + "/" + name + "/last.safetensors").value().header;
    EXPECT_GE(stopped.step(), 4 * 12);
    EXPECT_TRUE(absl::StrContains(said, absl::StrCat("at step ", stopped.step(), ";"))) << said;
    ASSERT_EQ(WaitForProgram(Start(name)), 0);
    ExpectSameAsWhole(name);
  }
  // The published key at the top of the file.
  const std::string json = ReadFile(base_ + "/whole.json").value();
  EXPECT_TRUE(absl::StrContains(json, "\n  \"test_acc\": ")) << json.substr(0, 300);
}

}  // namespace
}  // namespace manyform

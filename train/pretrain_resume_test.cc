// The program itself, killed and interrupted at arbitrary points.
#include <unistd.h>

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
#include "gtest/gtest.h"
#include "model/checkpoint.h"
#include "train/testing/program.h"
#include "train/testing/synthetic_cache.h"

namespace manyform {
namespace {

constexpr char kProgram[] = "train/pretrain";

class PretrainResumeTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    base_ = testing::TempDir() + "/resume";
    std::filesystem::remove_all(base_);
    WriteSyntheticSplit({.root = base_ + "/cache"}, "train");
    ASSERT_EQ(WaitForProgram(Start("whole")), 0) << ReadFile(base_ + "/whole.log").value();
    // The first start went through SleepBetweenParallelLoops; the others need not.
    setenv("OMP_WAIT_POLICY", "passive", 1);
  }

  // 12 steps an epoch, 5 epochs, a checkpoint at every other one.
  static pid_t Start(const std::string& name) {
    return StartProgram(kProgram,
                        {"cache_root=" + base_ + "/cache", "save_dir=" + base_ + "/" + name, "batch=1",
                         "epochs=5", "save_every=2", "n_point=6", "n_ray=4", "d_model=16", "layers=2",
                         "heads=2", "qa_tokens=1", "objective=mae", "num_threads=1"},
                        base_ + "/" + name + ".log");
  }
  // Rows logged so far.
  int64_t Rows(const std::string& name) const {
    const auto text = ReadFile(base_ + "/" + name + "/log.jsonl");
    return text.ok() ? std::count(text->begin(), text->end(), '\n') : 0;
  }
  // Sends `signal` once `rows` steps are logged; the exit code.
  int StopAt(const std::string& name, int64_t rows, int signal) const {
    const pid_t child = Start(name);
    while (Rows(name) < rows && kill(child, 0) == 0) {
      if (waitpid(child, nullptr, WNOHANG) == child) return -1000;
      absl::SleepFor(absl::Milliseconds(1));
    }
    kill(child, signal);
    return WaitForProgram(child);
  }
  void ExpectSameAsWhole(const std::string& name) const {
    for (const std::string file : {"last.safetensors", "ckpt_ep000.safetensors", "ckpt_ep004.safetensors"})
      EXPECT_EQ(ReadFile(base_ + "/" + name + "/" + file).value(), ReadFile(base_ + "/whole/" + file).value())
          << file;
    const auto ours = ReadJsonLines(base_ + "/" + name + "/log.jsonl").value();
    const auto whole = ReadJsonLines(base_ + "/whole/log.jsonl").value();
    ASSERT_EQ(ours.size(), 60u);
    for (size_t i = 0; i < ours.size(); ++i)
      for (size_t key = 0; key < 6; ++key) EXPECT_EQ(ours[i][key], whole[i][key]) << i;
  }
  static inline std::string base_;
};

TEST_F(PretrainResumeTest, KilledRunsEndWhereTheWholeOneDoes) {
  // Before the first checkpoint, right after it, and between checkpoints.
  for (const int64_t rows : {3, 15, 45}) {
    const std::string name = absl::StrCat("killed", rows);
    ASSERT_EQ(StopAt(name, rows, SIGKILL), -SIGKILL);
    ASSERT_LT(Rows(name), 60);
    ASSERT_EQ(WaitForProgram(Start(name)), 0) << ReadFile(base_ + "/" + name + ".log").value();
    ExpectSameAsWhole(name);
  }
}

TEST_F(PretrainResumeTest, KilledAgainAndAgain) {
  for (const int64_t rows : {5, 14, 20, 40}) ASSERT_EQ(StopAt("often", rows, SIGKILL), -SIGKILL);
  ASSERT_EQ(WaitForProgram(Start("often")), 0);
  ExpectSameAsWhole("often");
}

TEST_F(PretrainResumeTest, AnInterruptedRunKeepsEveryStep) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::string name = absl::StrCat("interrupted", signal);
    EXPECT_EQ(StopAt(name, 17, signal), 1);
    const std::string said = ReadFile(base_ + "/" + name + ".log").value();
    EXPECT_TRUE(absl::StrContains(said, "error: interrupted at step ")) << said;
    const Checkpoint checkpoint = ReadCheckpoint(base_ + "/" + name + "/last.safetensors").value();
    EXPECT_EQ(checkpoint.header.step(), Rows(name));
    EXPECT_GE(checkpoint.header.step(), 17);
    ASSERT_EQ(WaitForProgram(Start(name)), 0);
    ExpectSameAsWhole(name);
  }
}

TEST_F(PretrainResumeTest, ASecondRunInTheFolderIsRefused) {
  const pid_t first = Start("busy");
  while (Rows("busy") < 1) absl::SleepFor(absl::Milliseconds(1));
  kill(first, SIGSTOP);
  EXPECT_EQ(WaitForProgram(Start("busy")), 1);
  EXPECT_TRUE(absl::StrContains(ReadFile(base_ + "/busy.log").value(), absl::StrCat("process ", first)));
  kill(first, SIGCONT);
  EXPECT_EQ(WaitForProgram(first), 0);
  ExpectSameAsWhole("busy");
}

}  // namespace
}  // namespace manyform

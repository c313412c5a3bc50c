// The program itself, killed and interrupted at arbitrary points.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <random>
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

// Runs over 12 shapes; whatever a schedule can change changes on the way.
const std::map<std::string, std::vector<std::string>> kRuns = {
    // 60 steps, a checkpoint at every other epoch.
    {"mae", {"epochs=5", "save_every=2", "qa_tokens=1", "objective=mae"}},
    // 54 steps, a checkpoint at each.
    {"causal",
     {"epochs=9", "accumulate=2", "save_every_minutes=1e-9", "qa_tokens=1", "lr_schedule=cosine",
      "lr_warmup_steps=9", "clip_grad_norm=1", "n_point_schedule=0:4,2:6,5:5", "n_ray_schedule=3:5",
      "dual_mask_near=0.4", "dual_mask_far=0.1", "dual_mask_window=6", "dual_mask_warmup_frac=0.5",
      "aux_b2_weight=0.5", "aux_b3_weight=0.5", "aux_e_weight=0.5", "cycle_weight=0.3", "d_hard_weight=0.2",
      "drop_ray_prob=0.3"}},
    {"encdec",
     {"epochs=5", "save_every_minutes=1e-9", "arch=encdec", "topo_k=3", "topo_ray_coord=proj",
      "encdec_src_causal=1", "lr_schedule=cosine", "lr_warmup_steps=9", "n_point_schedule=1:4,3:6",
      "n_ray_schedule=2:3", "aux_b2_weight=0.5", "cycle_weight=0.3", "drop_ray_prob=0.3"}}};

class PretrainResumeTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    base_ = testing::TempDir() + "/resume";
    std::filesystem::remove_all(base_);
    WriteSyntheticSplit({.root = base_ + "/cache"}, "train");
    for (const auto& [run, options] : kRuns) {
      const std::string whole = "whole_" + run;
      ASSERT_EQ(WaitForProgram(Start(whole, run)), 0) << ReadFile(base_ + "/" + whole + ".log").value();
      // The first start went through SleepBetweenParallelLoops; the others need not.
      setenv("OMP_WAIT_POLICY", "passive", 1);
    }
  }

  static pid_t Start(const std::string& name, const std::string& run = "mae") {
    std::vector<std::string> arguments = {"cache_root=" + base_ + "/cache",
                                          "save_dir=" + base_ + "/" + name,
                                          "batch=1",
                                          "n_point=6",
                                          "n_ray=4",
                                          "d_model=16",
                                          "layers=2",
                                          "heads=2",
                                          "num_threads=1"};
    arguments.insert(arguments.end(), kRuns.at(run).begin(), kRuns.at(run).end());
    return StartProgram(kProgram, arguments, base_ + "/" + name + ".log");
  }
  // Rows logged so far.
  int64_t Rows(const std::string& name) const {
    const auto text = ReadFile(base_ + "/" + name + "/log.jsonl");
    return text.ok() ? std::count(text->begin(), text->end(), '\n') : 0;
  }
  // Sends `signal` once `rows` steps are logged; the exit code.
  int StopAt(const std::string& name, int64_t rows, int signal, const std::string& run = "mae") const {
    const pid_t child = Start(name, run);
    while (Rows(name) < rows && kill(child, 0) == 0) {
      if (waitpid(child, nullptr, WNOHANG) == child) return -1000;
      absl::SleepFor(absl::Milliseconds(1));
    }
    kill(child, signal);
    return WaitForProgram(child);
  }
  void ExpectSameAsWhole(const std::string& name, const std::string& run = "mae") const {
    const std::string whole_folder = base_ + "/whole_" + run + "/";
    for (const std::string file : {"last.safetensors", "ckpt_ep000.safetensors", "ckpt_ep004.safetensors"})
      EXPECT_EQ(ReadFile(base_ + "/" + name + "/" + file).value(), ReadFile(whole_folder + file).value())
          << file;
    const auto ours = ReadJsonLines(base_ + "/" + name + "/log.jsonl").value();
    const auto whole = ReadJsonLines(whole_folder + "log.jsonl").value();
    ASSERT_EQ(ours.size(), whole.size());
    // Losses, rate and gradient; then how long it took.
    for (size_t i = 0; i < ours.size(); ++i)
      for (size_t key = 0; key + 2 < ours[i].size(); ++key) EXPECT_EQ(ours[i][key], whole[i][key]) << i;
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

TEST_F(PretrainResumeTest, KilledAtRandomStepsOfEverySchedule) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937 random(seed);
  for (const std::string run : {"causal", "encdec"}) {
    SCOPED_TRACE(run);
    std::vector<int64_t> steps(2);
    for (int64_t& step : steps) step = std::uniform_int_distribution<int64_t>(0, 42)(random);
    std::sort(steps.begin(), steps.end());
    int killed = 0;
    for (const int64_t step : steps)
      killed += StopAt("random_" + run, step, SIGKILL, run) == -SIGKILL ? 1 : 0;
    EXPECT_GT(killed, 0);
    ASSERT_EQ(WaitForProgram(Start("random_" + run, run)), 0);
    ExpectSameAsWhole("random_" + run, run);
  }
}

TEST_F(PretrainResumeTest, AnInterruptedRunKeepsEveryStep) {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) {
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

// One run as two processes on the loopback address.
#include <unistd.h>

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
#include "train/testing/processes.h"
#include "train/testing/program.h"
#include "train/testing/synthetic_cache.h"

namespace manyform {
namespace {

constexpr char kProgram[] = "train/pretrain";

using Options = std::vector<std::string>;

class PretrainProcessesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    base_ = testing::TempDir() + "/processes";
    std::filesystem::remove_all(base_);
    WriteSyntheticSplit({.root = base_ + "/cache"}, "train");
    setenv("OMP_WAIT_POLICY", "passive", 1);
  }

  // 3 steps an epoch, 3 epochs.
  static Options Arguments(const std::string& name, const Options& more) {
    Options all = {"cache_root=" + base_ + "/cache",
                   "save_dir=" + base_ + "/" + name,
                   "batch=4",
                   "epochs=3",
                   "n_point=4",
                   "n_ray=6",
                   "d_model=16",
                   "layers=2",
                   "heads=2",
                   "lr=1e-3",
                   "qa_tokens=1",
                   "num_threads=1",
                   "dist_timeout_s=20"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static std::vector<pid_t> StartPair(const std::string& name, const Options& more = {}) {
    return StartProcesses(kProgram, {Arguments(name, more), Arguments(name, more)}, LogOf(name));
  }
  static std::string LogOf(const std::string& name) { return base_ + "/" + name + ".log"; }
  static std::string Said(const std::string& name, int rank) {
    return ReadFile(absl::StrCat(LogOf(name), ".", rank)).value();
  }
  static void RunPair(const std::string& name, const Options& more = {}) {
    const std::vector<pid_t> pair = StartPair(name, more);
    for (int rank : {0, 1}) EXPECT_EQ(WaitForProgram(pair[rank]), 0) << Said(name, rank);
  }
  static void RunAlone(const std::string& name, const Options& more = {}) {
    EXPECT_EQ(WaitForProgram(StartProgram(kProgram, Arguments(name, more), LogOf(name))), 0)
        << ReadFile(LogOf(name)).value();
  }
  static std::string File(const std::string& name, const std::string& file) {
    return base_ + "/" + name + "/" + file;
  }
  static std::vector<JsonRow> Rows(const std::string& name) {
    const auto rows = ReadJsonLines(File(name, "log.jsonl"));
    return rows.ok() ? *rows : std::vector<JsonRow>();
  }
  static void WaitForRows(const std::string& name, size_t count, pid_t writer) {
    while (Rows(name).size() < count) {
      ASSERT_EQ(waitpid(writer, nullptr, WNOHANG), 0) << "the run ended early";
      absl::SleepFor(absl::Milliseconds(2));
    }
  }
  static void ExpectSameCurve(const std::string& a, const std::string& b) {
    manyform::ExpectSameCurve(File(a, "log.jsonl"), File(b, "log.jsonl"));
  }
  static inline std::string base_;
};

TEST_F(PretrainProcessesTest, TwoHaveTheCurveOfOne) {
  const std::string teacher = "teacher_ckpt=" + File("terms_alone", "last.safetensors");
  const std::vector<std::pair<std::string, Options>> cases = {
      {"terms",
       {"drop_ray_prob=0.5", "dual_mask_near=0.4", "dual_mask_far=0.2", "dual_mask_type_aware=1",
        "dual_mask_window=3", "dual_mask_warmup_frac=0", "aux_b2_weight=0.5", "aux_b2_rank_pairs=5",
        "aux_b3_weight=0.5", "aux_b3_near_tau=0.2", "aux_e_weight=0.25", "cycle_weight=0.5",
        "d_hard_weight=0.3", "d_hard_min_tokens=2", "clip_grad_norm=0.5"}},
      // Half of the sequences have no answer: often no one of a process's, but one of the other's. A batch of
      // 3 is not divided evenly.
      {"answers",
       {"n_point=0", "drop_ray_prob=0.6", "batch=3", "max_len=22", teacher, "teacher_distill_weight=0.5",
        "teacher_answer_drop_prob=0.3", "d_hard_weight=0.3", "accumulate=2"}},
      {"mae", {"objective=mae", "drop_ray_prob=0.5"}},
      {"encdec", {"arch=encdec", "topo_k=3", "aux_e_weight=1"}}};
  for (const auto& [name, options] : cases) {
    SCOPED_TRACE(name);
    RunAlone(name + "_alone", options);
    RunPair(name + "_pair", options);
    ASSERT_GE(Rows(name + "_alone").size(), 6u);
    ExpectSameCurve(name + "_pair", name + "_alone");
    EXPECT_EQ(Said(name + "_pair", 1), "");
  }
  EXPECT_TRUE(absl::StrContains(Said("answers_pair", 0), "not divided evenly"));
}

TEST_F(PretrainProcessesTest, AnyNumberGoesOnFromACheckpoint) {
  RunPair("whole");
  RunPair("first", {"epochs=1"});
  std::filesystem::copy(base_ + "/first", base_ + "/first_alone");
  RunPair("first");
  EXPECT_EQ(ReadFile(File("first", "last.safetensors")).value(),
            ReadFile(File("whole", "last.safetensors")).value());
  RunAlone("first_alone");
  ExpectSameCurve("first_alone", "whole");
}

TEST_F(PretrainProcessesTest, WhenOneIsKilledTheOtherStops) {
  for (const int killed : {0, 1}) {
    const std::string name = absl::StrCat("killed", killed);
    const std::vector<pid_t> pair = StartPair(name, {"epochs=100000", "save_every=1000000"});
    WaitForRows(name, 5, pair[0]);
    const absl::Time start = absl::Now();
    kill(pair[killed], SIGKILL);
    EXPECT_EQ(WaitForProgram(pair[killed]), -SIGKILL);
    EXPECT_EQ(WaitForProgram(pair[1 - killed]), 1);
    EXPECT_LT(absl::Now() - start, absl::Seconds(19));
    const std::string said = Said(name, 1 - killed);
    EXPECT_TRUE(
        absl::StrContains(said, absl::StrCat("error: process ", 1 - killed, " of 2 has lost another one")))
        << said;
  }
  const std::string status = ReadFile(File("killed1", "status.textproto")).value();
  EXPECT_TRUE(absl::StrContains(status, "failed") && absl::StrContains(status, "has lost another one"))
      << status;
}

TEST_F(PretrainProcessesTest, ASignalToOneStopsBothAtOneStep) {
  const std::vector<pid_t> pair = StartPair("signal", {"epochs=100000", "save_every=1000000"});
  WaitForRows("signal", 4, pair[0]);
  kill(pair[1], SIGTERM);
  for (int rank : {0, 1}) EXPECT_EQ(WaitForProgram(pair[rank]), 1);
  const Checkpoint checkpoint = ReadCheckpoint(File("signal", "last.safetensors")).value();
  EXPECT_EQ(checkpoint.header.step(), static_cast<int64_t>(Rows("signal").size()));
  for (int rank : {0, 1})
    EXPECT_TRUE(absl::StrContains(Said("signal", rank),
                                  absl::StrCat("error: interrupted at step ", checkpoint.header.step())));
}

TEST_F(PretrainProcessesTest, ProcessesOfDifferentRunsAreRefused) {
  const std::vector<pid_t> pair =
      StartProcesses(kProgram, {Arguments("mixed", {}), Arguments("mixed", {"lr=1"})}, LogOf("mixed"));
  for (int rank : {0, 1}) {
    EXPECT_NE(WaitForProgram(pair[rank]), 0);
    EXPECT_TRUE(absl::StrContains(Said("mixed", rank), "different settings or inputs"))
        << Said("mixed", rank);
  }
  EXPECT_TRUE(Rows("mixed").empty());
}

}  // namespace
}  // namespace manyform

// One fine-tuning run as two processes on the loopback address.
#include <cmath>
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
#include "train/testing/processes.h"
#include "train/testing/program.h"
#include "train/testing/synthetic_cache.h"

namespace manyform {
namespace {

constexpr char kProgram[] = "train/finetune";

using Options = std::vector<std::string>;

class FinetuneProcessesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    base_ = testing::TempDir() + "/finetune_processes";
    std::filesystem::remove_all(base_);
    WriteSyntheticSplit({.root = base_ + "/cache", .shapes_per_class = 5}, "train");
    WriteSyntheticSplit({.root = base_ + "/cache", .shapes_per_class = 3, .seed = 3}, "test");
    setenv("OMP_WAIT_POLICY", "passive", 1);
  }
  // Of 15 shapes 3 validate. Batches of 11 and 1: of the last one a process has nothing.
  static Options Arguments(const std::string& name, const Options& more) {
    Options all = {"cache_root=" + base_ + "/cache",
                   "save_dir=" + base_ + "/" + name,
                   "output=" + base_ + "/" + name + ".json",
                   "batch=11",
                   "epochs=4",
                   "val_ratio=0.2",
                   "n_point=6",
                   "n_ray=4",
                   "d_model=16",
                   "layers=1",
                   "heads=2",
                   "lr=1e-3",
                   "clip_grad_norm=1",
                   "aug_preset=modelnet40",
                   "num_threads=1",
                   "dist_timeout_s=20"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  static std::vector<pid_t> StartPair(const std::string& name, const Options& more = {}) {
    return StartProcesses(kProgram, {Arguments(name, more), Arguments(name, more)}, Path(name, ".log"));
  }
  static std::string Path(const std::string& name, const std::string& rest) {
    return base_ + "/" + name + rest;
  }
  static std::string Said(const std::string& name, int rank) {
    return ReadFile(Path(name, absl::StrCat(".log.", rank))).value();
  }
  static void RunPair(const std::string& name, const Options& more = {}) {
    const std::vector<pid_t> pair = StartPair(name, more);
    for (int rank : {0, 1}) EXPECT_EQ(WaitForProgram(pair[rank]), 0) << Said(name, rank);
  }
  static void RunAlone(const std::string& name, const Options& more = {}) {
    EXPECT_EQ(WaitForProgram(StartProgram(kProgram, Arguments(name, more), Path(name, ".log"))), 0)
        << ReadFile(Path(name, ".log")).value();
  }
  static size_t Rows(const std::string& name) {
    const auto rows = ReadJsonLines(Path(name, "/log.jsonl"));
    return rows.ok() ? rows->size() : 0;
  }
  static void WaitForRows(const std::string& name, size_t count, pid_t writer) {
    while (Rows(name) < count) {
      ASSERT_EQ(waitpid(writer, nullptr, WNOHANG), 0) << "the run ended early";
      absl::SleepFor(absl::Milliseconds(2));
    }
  }
  static void ExpectSameCurve(const std::string& a, const std::string& b) {
    manyform::ExpectSameCurve(Path(a, "/log.jsonl"), Path(b, "/log.jsonl"));
  }
  static std::vector<double> Metrics(const std::string& name) {
    FinetuneResult result;
    EXPECT_TRUE(ReadResult(Path(name, ".json"), &result).ok());
    std::vector<double> values;
    for (const Metric& metric : result.record().metrics()) values.push_back(metric.value());
    return values;
  }
  static inline std::string base_;
};

TEST_F(FinetuneProcessesTest, TwoHaveTheCurveAndTheResultOfOne) {
  for (const auto& [name, options] : std::vector<std::pair<std::string, Options>>{
           {"plain", {}}, {"frozen", {"freeze_backbone=1", "batch=5"}}, {"fields", {"mc_eval_k_test=3"}}}) {
    SCOPED_TRACE(name);
    RunAlone(name + "_alone", options);
    RunPair(name + "_pair", options);
    ASSERT_EQ(Rows(name + "_alone"), 4u);
    ExpectSameCurve(name + "_pair", name + "_alone");
    const std::vector<double> ours = Metrics(name + "_pair"), theirs = Metrics(name + "_alone");
    ASSERT_EQ(ours.size(), theirs.size());
    for (size_t i = 0; i < ours.size(); ++i) EXPECT_NEAR(ours[i], theirs[i], 1e-9) << i;
    EXPECT_EQ(Said(name + "_pair", 1), "");
  }
}

TEST_F(FinetuneProcessesTest, AnyNumberGoesOnFromACheckpoint) {
  RunPair("whole", {"epochs=300"});
  for (const int signalled : {0, 1}) {
    const std::string name = absl::StrCat("stopped", signalled);
    const std::vector<pid_t> pair = StartPair(name, {"epochs=300", "save_every=1000"});
    WaitForRows(name, 2, pair[0]);
    kill(pair[signalled], SIGTERM);
    for (int rank : {0, 1}) EXPECT_EQ(WaitForProgram(pair[rank]), 1) << Said(name, rank);
    const Checkpoint stopped = ReadCheckpoint(Path(name, "/last.safetensors")).value();
    EXPECT_TRUE(
        absl::StrContains(Said(name, 0), absl::StrCat("error: interrupted at step ", stopped.header.step())));
    std::filesystem::copy(Path(name, ""), Path(name, "_alone"));
    RunPair(name, {"epochs=300", "save_every=1000"});
    for (const char* file : {"/last.safetensors", "/best.safetensors"})
      EXPECT_EQ(ReadFile(Path(name, file)).value(), ReadFile(Path("whole", file)).value()) << file;
    RunAlone(name + "_alone", {"epochs=300", "save_every=1000"});
    EXPECT_EQ(Rows(name + "_alone"), 300u);
  }
}

TEST_F(FinetuneProcessesTest, WhenOneIsKilledTheOtherStops) {
  for (const int killed : {0, 1}) {
    const std::string name = absl::StrCat("killed", killed);
    const std::vector<pid_t> pair = StartPair(name, {"epochs=100000", "save_every=1000000"});
    WaitForRows(name, 2, pair[0]);
    kill(pair[killed], SIGKILL);
    EXPECT_EQ(WaitForProgram(pair[killed]), -SIGKILL);
    EXPECT_EQ(WaitForProgram(pair[1 - killed]), 1);
    EXPECT_TRUE(absl::StrContains(Said(name, 1 - killed), "has lost another one")) << Said(name, 1 - killed);
  }
}

}  // namespace
}  // namespace manyform

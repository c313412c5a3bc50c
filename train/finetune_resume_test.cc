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
  static pid_t Start(const std::string& name) {
    return StartProgram("train/finetune",
                        {"cache_root=" + base_ + "/cache", "save_dir=" + base_ + "/" + name, "batch=4",
                         "epochs=12", "val_ratio=0.34", "n_point=8", "n_ray=4", "d_model=16", "layers=1",
                         "heads=2", "lr=3e-3", "num_threads=1", "output=" + base_ + "/" + name + ".json"},
                        base_ + "/" + name + ".log");
  }
  int64_t Rows(const std::string& name) const {
    const auto text = ReadFile(base_ + "/" + name + "/log.jsonl");
    return text.ok() ? std::count(text->begin(), text->end(), '\n') : 0;
  }
  int StopAt(const std::string& name, int64_t rows, int signal) const {
    const pid_t child = Start(name);
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
    EXPECT_EQ(Rows(name), 12);
  }
  static inline std::string base_;
};

TEST_F(FinetuneResumeTest, KilledRunsEndWhereTheWholeOneDoes) {
  for (const int64_t rows : {1, 4, 8}) {
    const std::string name = absl::StrCat("killed", rows);
    ASSERT_EQ(StopAt(name, rows, SIGKILL), -SIGKILL);
    EXPECT_FALSE(FileExists(absl::StrCat(base_, "/", name, ".json")));
    ASSERT_EQ(WaitForProgram(Start(name)), 0) << ReadFile(absl::StrCat(base_, "/", name, ".log")).value();
    ExpectSameAsWhole(name);
  }
}

TEST_F(FinetuneResumeTest, InterruptedRunsGoOn) {
  EXPECT_EQ(StopAt("interrupted", 3, SIGINT), 1);
  EXPECT_TRUE(absl::StrContains(ReadFile(base_ + "/interrupted.log").value(), "error: interrupted"));
  ASSERT_EQ(WaitForProgram(Start("interrupted")), 0);
  ExpectSameAsWhole("interrupted");
  // The published key at the top of the file.
  EXPECT_TRUE(absl::StrContains(ReadFile(base_ + "/interrupted.json").value(), "\n  \"test_acc\": "))
      << ReadFile(base_ + "/interrupted.json").value().substr(0, 300);
}

}  // namespace
}  // namespace manyform

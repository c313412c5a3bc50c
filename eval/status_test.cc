#include "eval/status.h"

#include <filesystem>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/config.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "eval/status_board.h"
#include "gtest/gtest.h"
#include "proto/train.pb.h"

namespace manyform {
namespace {

constexpr char kDeclaration[] = R"(
  name: "two <methods>"
  caches { name: "c" root: "c" }
  finetune { cache_root: "c" }
  pretrainings { name: "pre" config { cache_root: "c" } assumed: "its batch" }
  methods { name: "scratch" }
  methods { name: "nepa" pretraining: "pre" }
  measurements { name: "scan" fewshot_k: [0, 5] seeds: [0, 1, 2] }
)";

class StatusTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
    config_.add_experiment(JoinPath(root_, "experiment.textproto"));
    config_.set_out_root(root_);
    config_.set_output(JoinPath(root_, "board.html"));
    ASSERT_TRUE(WriteFileAtomically(config_.experiment(0), kDeclaration).ok());
    ASSERT_TRUE(MergeConfigText(kDeclaration, "test", &experiment_).ok());
    plan_ = PlanExperiment(experiment_, root_).value();
  }
  void WriteDone(const std::string& method, int k, int seed, double accuracy, double seconds = 10) {
    FinetuneResult result;
    ResultRecord& record = *result.mutable_record();
    record.set_stage("finetune");
    record.set_label(method);
    const auto set = [&](const char* name, int value) {
      Setting& setting = *record.add_settings();
      setting.set_name(name);
      setting.set_json(absl::StrCat(value));
    };
    set("fewshot_k", k);
    set("seed", seed);
    Metric& metric = *record.add_metrics();
    metric.set_name("test_acc");
    metric.set_value(accuracy);
    result.mutable_provenance()->set_wall_seconds(seconds);
    Write(absl::StrCat("scan_", method, "_k", k, "_s", seed), "record.binpb", result.SerializeAsString());
  }
  void Write(const std::string& run, const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(JoinPath(RunPath(root_, run), name), bytes).ok());
  }
  Board GetBoard() { return MakeBoard(experiment_, ReadStatus(plan_, root_)); }

  std::string root_;
  StatusConfig config_;
  Experiment experiment_;
  ExperimentPlan plan_;
};

TEST_F(StatusTest, EveryStateInItsCell) {
  WriteDone("scratch", 0, 0, 0.5);
  WriteDone("scratch", 0, 1, 0.7);
  Write("scan_scratch_k5_s0", "status.textproto",
        "state: \"running\" epoch: 1 epochs: 4 samples_per_second: 99 seconds_left: 20 host: \"far\" pid: 7");
  Write("scan_scratch_k5_s1", "status.textproto", "state: \"failed\" error: \"no\\n\\033[31mluck\"");
  Write("scan_scratch_k5_s2", "status.textproto", "garbage");
  Write("pre", "status.textproto", "state: \"failed\" error: \"<disk> full\"");
  const auto status = ShowStatus(config_);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->done(), 2);
  EXPECT_EQ(status->cells_size(), 12);

  const Board board = MakeBoard(experiment_, *status);
  // Two done in 10 s each, one running for 20 s more, nine more to go.
  EXPECT_EQ(board.headline,
            "2 of 12 done, 1 running, 1 failed, 1 unreadable, 7 waiting; about 1 min 50 s left");
  const std::vector<std::string> lines = absl::StrSplit(BoardText(board), '\n');
  const auto line = [&](const std::string& start) {
    for (const std::string& text : lines)
      if (absl::StartsWith(text, start)) return text;
    return "no line " + start;
  };
  EXPECT_TRUE(absl::StrContains(line("scratch"), "50.0")) << line("scratch");
  EXPECT_TRUE(absl::EndsWith(line("scratch"), "60.0 ± 10.0 (2)")) << line("scratch");
  EXPECT_TRUE(absl::StrContains(BoardText(board), "  5  running 1/4  failed   unreadable  –"));
  EXPECT_EQ(line("scan_scratch_k5_s0:"), "scan_scratch_k5_s0: 1/4 epochs, 99 samples/s, 20.0 s left on far");
  EXPECT_EQ(line("scan_scratch_k5_s1 failed"), "scan_scratch_k5_s1 failed: no  [31mluck");
  EXPECT_TRUE(absl::StartsWith(line("scan_scratch_k5_s2 unreadable"),
                               "scan_scratch_k5_s2 unreadable: status.textproto:1:"));
  EXPECT_EQ(line("pre failed"), "pre failed: <disk> full");
  EXPECT_TRUE(absl::StrContains(line("nepa*"), "waiting      waiting  waiting     –")) << line("nepa*");
  EXPECT_EQ(line("* nepa"), "* nepa: its batch");

  const std::string page = ReadFile(config_.output()).value();
  for (const char* what :
       {"two &lt;methods&gt;", "<td class=\"failed\">failed</td>", "&lt;disk&gt; full",
        "<td class=\"done\">50.0</td>", "<td class=\"unreadable\">unreadable</td>", "nepa*"})
    EXPECT_TRUE(absl::StrContains(page, what)) << what;
  EXPECT_FALSE(absl::StrContains(page, "http-equiv")) << "nothing will change";
  EXPECT_FALSE(absl::StrContains(page, "src=")) << "self-contained";
}

TEST_F(StatusTest, TimeLeftIsThatOfCellsAlike) {
  EXPECT_LT(SecondsLeft(ReadStatus(plan_, root_)), 0) << "nothing is done";
  WriteDone("scratch", 0, 0, 0.5, 100);
  WriteDone("scratch", 5, 0, 0.5, 1);
  EXPECT_LT(SecondsLeft(ReadStatus(plan_, root_)), 0) << "nothing runs";
  for (const int seed : {1, 2})
    Write(absl::StrCat("scan_scratch_k0_s", seed), "status.textproto",
          "state: \"running\" epochs: 4 samples_per_second: 9 seconds_left: 30 host: \"far\" pid: 7");
  // Two at a time: 2 x 30 left of those that run, 3 x 100 and 5 x 1 to come.
  EXPECT_DOUBLE_EQ(SecondsLeft(ReadStatus(plan_, root_)), (60 + 300 + 5) / 2.0);
}

TEST_F(StatusTest, WatchingEndsWhenAllIsDone) {
  config_.set_watch(1);
  for (const char* method : {"scratch", "nepa"})
    for (const int k : {0, 5})
      for (const int seed : {0, 1, 2}) WriteDone(method, k, seed, 0.25);
  const auto status = ShowStatus(config_);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->done(), 12);
  EXPECT_EQ(GetBoard().headline, "12 of 12 done");
}

TEST_F(StatusTest, WatchingEndsWhenInterrupted) {
  config_.set_watch(3600);
  SetInterruptedForTest(true);
  const auto status = ShowStatus(config_);
  SetInterruptedForTest(false);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->done(), 0);
}

TEST_F(StatusTest, APageOfWhatChangesLoadsItselfAgain) {
  EXPECT_TRUE(absl::StrContains(BoardPage(GetBoard(), 5), "<meta http-equiv=\"refresh\" content=\"5\">"));
}

TEST_F(StatusTest, ADeclarationThatCannotBeReadIsAnError) {
  ASSERT_TRUE(WriteFileAtomically(config_.experiment(0), "methods { name: \"a\" }").ok());
  EXPECT_EQ(ShowStatus(config_).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace manyform

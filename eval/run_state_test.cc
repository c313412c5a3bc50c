#include "eval/run_state.h"

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "proto/train.pb.h"

namespace manyform {
namespace {

std::string Host() {
  char host[256] = {};
  gethostname(host, sizeof(host) - 1);
  return host;
}

/// The number of a process that has ended.
int DeadProcess() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

class RunStateTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    cell_.method = "nepa";
    cell_.fewshot_k = 5;
    cell_.seed = 2;
  }
  void Write(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(JoinPath(folder_, name), bytes).ok());
  }
  void WriteRunning(const std::string& host, int pid, const std::string& more = "") {
    Write("status.textproto", absl::StrCat("state: \"running\" epoch: 3 epochs: 10 step: 60 host: \"", host,
                                           "\" pid: ", pid, more));
  }
  FinetuneResult Record() const {
    FinetuneResult result;
    ResultRecord& record = *result.mutable_record();
    record.set_stage("finetune");
    record.set_label("nepa");
    for (const auto& [name, json] : {std::pair("fewshot_k", "5"), std::pair("seed", "2")}) {
      Setting& setting = *record.add_settings();
      setting.set_name(name);
      setting.set_json(json);
    }
    Metric& metric = *record.add_metrics();
    metric.set_name("test_acc");
    metric.set_value(0.75);
    result.mutable_provenance()->set_wall_seconds(12.5);
    return result;
  }
  RunState Get() const { return StateOf(ReadRunFiles(folder_, Log()), &cell_); }
  std::string Log() const { return folder_ + ".log"; }
  void Expect(RunState::State state, const std::string& text) const {
    const RunState got = Get();
    EXPECT_EQ(got.state(), state) << got.DebugString();
    EXPECT_TRUE(absl::StrContains(got.text(), text)) << got.DebugString();
  }
  std::string folder_;
  PlannedCell cell_;
};

TEST_F(RunStateTest, NothingThereWaits) { Expect(RunState::WAITING, ""); }

TEST_F(RunStateTest, ARecordIsARunThatIsDone) {
  Write("record.binpb", Record().SerializeAsString());
  WriteRunning(Host(), DeadProcess());
  const RunState state = Get();
  EXPECT_EQ(state.state(), RunState::DONE);
  EXPECT_EQ(state.value(), 0.75);
  EXPECT_EQ(state.seconds(), 12.5);
}

TEST_F(RunStateTest, APretrainingsRecord) {
  PretrainResult result;
  result.set_checkpoint("a/last.safetensors");
  result.set_last_loss(0.5);
  Write("record.binpb", result.SerializeAsString());
  EXPECT_EQ(StateOf(ReadRunFiles(folder_, ""), nullptr).value(), 0.5);
  Expect(RunState::UNREADABLE, "not a record of finetune");
}

TEST_F(RunStateTest, RunningWithRateAndTimeLeft) {
  WriteRunning(Host(), getpid(), " samples_per_second: 310.4 seconds_left: 25");
  Write("lock", absl::StrCat(Host(), " ", getpid()));
  Expect(RunState::RUNNING, "3/10 epochs, 310 samples/s, 25.0 s left");
  EXPECT_EQ(Get().seconds_left(), 25);
  WriteRunning(Host(), getpid());
  EXPECT_EQ(Get().text(), "3/10 epochs") << "no rate before the first step";
}

TEST_F(RunStateTest, RunningElsewhereCannotBeLookedAt) {
  WriteRunning("elsewhere.example", DeadProcess());
  Expect(RunState::RUNNING, "3/10 epochs on elsewhere.example");
  std::filesystem::last_write_time(JoinPath(folder_, "status.textproto"),
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  Expect(RunState::RUNNING, "silent for 2 h 00 min");
}

TEST_F(RunStateTest, AKilledRunHasDied) {
  const int pid = DeadProcess();
  WriteRunning(Host(), pid);
  Write("lock", absl::StrCat(Host(), " ", pid));
  Expect(RunState::DIED, absl::StrCat("process ", pid, " is gone, after 3 of 10 epochs"));
}

TEST_F(RunStateTest, ARelaunchedRunIsStartingUntilItSaysMore) {
  Write("lock", absl::StrCat(Host(), " ", getpid()));
  Expect(RunState::RUNNING, "starting");
  WriteRunning(Host(), DeadProcess());
  Expect(RunState::RUNNING, "starting");
  Write("status.textproto", "state: \"failed\" error: \"of the run before\" pid: 1");
  Expect(RunState::RUNNING, "starting");
}

TEST_F(RunStateTest, FailedWithItsError) {
  Write("status.textproto", "state: \"failed\" error: \"the loss is nan\" host: \"h\" pid: 9");
  Expect(RunState::FAILED, "the loss is nan");
  Write("status.textproto", "state: \"failed\"");
  Expect(RunState::FAILED, "no reason given");
}

TEST_F(RunStateTest, AnErrorBeforeTheFirstStatusIsInTheLog) {
  ASSERT_TRUE(WriteFileAtomically(Log(), "10 classes\nerror: ckpt: no such file\n").ok());
  Expect(RunState::FAILED, "ckpt: no such file");
  ASSERT_TRUE(WriteFileAtomically(Log(), "error: ckpt: no such file\n10 classes\n").ok());
  Expect(RunState::WAITING, "");
  ASSERT_TRUE(WriteFileAtomically(Log(), std::string(3 << 20, 'x') + "\nerror: late\n\n").ok());
  Expect(RunState::FAILED, "late");
}

TEST_F(RunStateTest, DoneWithoutARecordWaits) {
  Write("status.textproto", "state: \"done\" host: \"h\" pid: 9");
  Expect(RunState::WAITING, "its record.binpb is gone");
}

TEST_F(RunStateTest, WhatNoRunWritesIsSaid) {
  const std::pair<const char*, const char*> cases[] = {
      {"stat", "status.textproto:1:"},
      {"state: \"running\" pid: 3\nfoo: 1", "no field named \"foo\""},
      {"state: \"runing\" pid: 3", "state \"runing\", expected running, done or failed"},
      {"state: \"running\" pid: 0", "pid 0"},
      {"state: \"running\" pid: -1", "pid -1"},
      {"state: \"running\" pid: 3 seconds_left: nan", "nan is no number"},
      {"state: \"running\" pid: 3 samples_per_second: inf", "inf is no number"},
      {"state: \"running\" pid: 3 epoch: -4", "-4 is no number"},
      {"state: \"running\" pid: 99999999999", "status.textproto:1:"},
      {"", "state \"\""}};
  for (const auto& [text, what] : cases) {
    Write("status.textproto", text);
    Expect(RunState::UNREADABLE, what);
  }
  Write("status.textproto", std::string(2 << 20, ' '));
  Expect(RunState::UNREADABLE, "2.0 MiB is more than a run writes");
}

TEST_F(RunStateTest, ARecordOfSomethingElseIsSaid) {
  Write("record.binpb", "not a record");
  Expect(RunState::UNREADABLE, "record.binpb: not a record of finetune");
  Write("record.binpb", "");
  Expect(RunState::UNREADABLE, "record.binpb: not a record of finetune");
  FinetuneResult other = Record();
  other.mutable_record()->mutable_settings(0)->set_json("10");
  Write("record.binpb", other.SerializeAsString());
  Expect(RunState::UNREADABLE, "of another cell: nepa, fewshot_k 10, seed 2");
  other = Record();
  other.mutable_record()->mutable_metrics(0)->set_value(std::numeric_limits<double>::quiet_NaN());
  Write("record.binpb", other.SerializeAsString());
  Expect(RunState::UNREADABLE, "its value is nan");
}

TEST_F(RunStateTest, FoldersAndFilesInTheWrongPlaces) {
  ASSERT_TRUE(MakeDirectories(JoinPath(folder_, "status.textproto")).ok());
  Expect(RunState::UNREADABLE, "status.textproto");
  std::filesystem::remove_all(folder_);
  ASSERT_TRUE(WriteFileAtomically(folder_, "a file").ok());
  Expect(RunState::WAITING, "");
}

TEST_F(RunStateTest, ATornLockHoldsNothing) {
  for (const char* lock : {"", "host", "host 12x", "host -4", "a b c"}) {
    Write("lock", lock);
    Expect(RunState::WAITING, "");
  }
}

}  // namespace
}  // namespace manyform

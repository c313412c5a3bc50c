#include "train/run_folder.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

class RunFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/run_" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(path_);
  }
  std::string File(const std::string& name) const { return JoinPath(path_, name); }
  std::string path_;
};

TEST_F(RunFolderTest, OneRunAtATime) {
  auto first = RunFolder::Open(path_);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(absl::StrContains(ReadFile(File("lock")).value(), absl::StrCat(" ", getpid())));
  const absl::Status second = RunFolder::Open(path_).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(second.message(), absl::StrCat("process ", getpid()))) << second;
  first->reset();
  EXPECT_FALSE(FileExists(File("lock")));
  EXPECT_TRUE(RunFolder::Open(path_).ok());
}

TEST_F(RunFolderTest, AKilledRunsLockIsTakenOver) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto held = RunFolder::Open(path_);
    (void)!write(ready[1], held.ok() ? "+" : "-", 1);
    for (;;) pause();
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, '+');
  EXPECT_EQ(RunFolder::Open(path_).status().code(), absl::StatusCode::kFailedPrecondition);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(FileExists(File("lock")));
  EXPECT_TRUE(RunFolder::Open(path_).ok());
}

TEST_F(RunFolderTest, AnotherHostsLockIsLeftAlone) {
  ASSERT_TRUE(WriteFileAtomically(File("lock"), "elsewhere.example 17").ok());
  const absl::Status status = RunFolder::Open(path_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "elsewhere.example, process 17")) << status;
  EXPECT_EQ(ReadFile(File("lock")).value(), "elsewhere.example 17");
  // Torn by a kill between creating and writing it.
  ASSERT_TRUE(WriteFileAtomically(File("lock"), "").ok());
  EXPECT_TRUE(RunFolder::Open(path_).ok());
}

TEST_F(RunFolderTest, LogIsCutBackToAStep) {
  const auto folder = RunFolder::Open(path_).value();
  EXPECT_TRUE(folder->TruncateLog(3).ok());
  for (int64_t step = 1; step <= 5; ++step)
    ASSERT_TRUE(folder->AppendLog({{"step", step}, {"loss", 0.5}}).ok());
  const std::string all = ReadFile(File("log.jsonl")).value();
  ASSERT_TRUE(folder->TruncateLog(5).ok());
  EXPECT_EQ(ReadFile(File("log.jsonl")).value(), all);
  ASSERT_TRUE(folder->TruncateLog(3).ok());
  const std::string cut = ReadFile(File("log.jsonl")).value();
  EXPECT_EQ(cut, all.substr(0, cut.size()));
  EXPECT_EQ(ReadJsonLines(File("log.jsonl")).value().size(), 3u);
  // A row torn by a kill goes too.
  ASSERT_TRUE(WriteFileAtomically(File("log.jsonl"), cut + "{\"step\": 4, \"lo").ok());
  ASSERT_TRUE(folder->TruncateLog(9).ok());
  EXPECT_EQ(ReadFile(File("log.jsonl")).value(), cut);
  ASSERT_TRUE(folder->TruncateLog(-1).ok());
  EXPECT_EQ(ReadFile(File("log.jsonl")).value(), "");
}

TEST_F(RunFolderTest, RowsBecomeEvents) {
  const auto folder = RunFolder::Open(path_).value();
  ASSERT_TRUE(folder->AppendLog({{"step", 1}, {"loss", 0.5}}).ok());
  folder->StartEvents(1);
  const auto events = [this] {
    std::string bytes;
    const std::vector<std::string> names = ListDirectory(path_).value();
    for (const std::string& name : names)
      if (name.starts_with("events.out.tfevents.")) bytes += ReadFile(File(name)).value();
    return bytes;
  };
  EXPECT_EQ(events(), "");
  ASSERT_TRUE(folder->AppendLog({{"step", 2}, {"loss", 0.5}, {"loss_b2", 0.25}, {"seconds", 1.5}}).ok());
  ASSERT_TRUE(folder->AppendEvent(2, {{"test_acc", 1}}).ok());
  const std::string bytes = events();
  EXPECT_TRUE(absl::StrContains(bytes, "loss_b2") && absl::StrContains(bytes, "test_acc"));
  EXPECT_FALSE(absl::StrContains(bytes, "seconds"));
  EXPECT_EQ(ReadJsonLines(File("log.jsonl")).value().size(), 2u);
}

TEST_F(RunFolderTest, AFollowerLeavesNothing) {
  const auto first = RunFolder::Open(path_).value();
  const auto follower = RunFolder::Open(path_, /*writes=*/false).value();
  EXPECT_TRUE(first->writes());
  EXPECT_FALSE(follower->writes());
  EXPECT_EQ(follower->last(), first->last());
  follower->StartEvents(0);
  EXPECT_TRUE(follower->AppendLog({{"step", 1}, {"loss", 0.5}}).ok());
  EXPECT_TRUE(follower->WriteConfig(PretrainConfig()).ok());
  EXPECT_TRUE(follower->Conclude(RunStatus(), absl::OkStatus(), PretrainResult()).ok());
  EXPECT_EQ(follower->Conclude(RunStatus(), absl::InternalError("x"), PretrainResult()),
            absl::InternalError("x"));
  EXPECT_EQ(ListDirectory(path_).value(), (std::vector<std::string>{"lock"}));
}

TEST_F(RunFolderTest, FilesOfARun) {
  const auto folder = RunFolder::Open(path_).value();
  EXPECT_EQ(folder->epoch_checkpoint(7), File("ckpt_ep007.safetensors"));
  EXPECT_EQ(folder->epoch_checkpoint(1234), File("ckpt_ep1234.safetensors"));
  EXPECT_EQ(folder->last(), File("last.safetensors"));
  PretrainConfig config;
  config.set_lr(0.5);
  ASSERT_TRUE(folder->WriteConfig(config).ok());
  const std::string text = ReadFile(File("config.textproto")).value();
  EXPECT_TRUE(absl::StrContains(text, "lr: 0.5") && absl::StrContains(text, "heads: 6")) << text;
  RunStatus status;
  status.set_state("running");
  status.set_step(1);
  ASSERT_TRUE(folder->WriteStatus(status).ok());
  EXPECT_TRUE(absl::StrContains(ReadFile(File("status.textproto")).value(), "step: 1"));
  // Soon after, a running state is not worth a write; an end always is.
  status.set_step(2);
  ASSERT_TRUE(folder->WriteStatus(status).ok());
  EXPECT_TRUE(absl::StrContains(ReadFile(File("status.textproto")).value(), "step: 1"));
  status.set_state("done");
  ASSERT_TRUE(folder->WriteStatus(status).ok());
  EXPECT_TRUE(absl::StrContains(ReadFile(File("status.textproto")).value(), "step: 2"));
}

}  // namespace
}  // namespace manyform

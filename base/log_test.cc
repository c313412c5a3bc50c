#include "base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmath>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/follower.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

// Stderr goes into a terminal (a pseudo one) while this lives.
class Terminal {
 public:
  Terminal() : master_(posix_openpt(O_RDWR | O_NOCTTY)), old_(dup(STDERR_FILENO)) {
    grantpt(master_);
    unlockpt(master_);
    const int slave = open(ptsname(master_), O_RDWR | O_NOCTTY);
    dup2(slave, STDERR_FILENO);
    close(slave);
  }
  // Ends the redirection; what was shown.
  std::string Take() {
    std::string shown(1 << 16, '\0');
    fcntl(master_, F_SETFL, O_NONBLOCK);
    const ssize_t got = read(master_, shown.data(), shown.size());
    shown.resize(std::max<ssize_t>(got, 0));
    dup2(old_, STDERR_FILENO);
    close(old_);
    close(master_);
    return shown;
  }

 private:
  int master_, old_;
};

TEST(LogLine, GoesToStderrAndTheLogFile) {
  const std::string path = testing::TempDir() + "/lines.log";
  unlink(path.c_str());
  testing::internal::CaptureStderr();
  LogLine("before the file");
  ASSERT_TRUE(SetLogFile(path).ok());
  LogLine("one");
  LogLine("two");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "before the file\none\ntwo\n");
  EXPECT_EQ(*ReadFile(path), "one\ntwo\n");
  // Appended, not replaced.
  ASSERT_TRUE(SetLogFile(path).ok());
  testing::internal::CaptureStderr();
  LogLine("three");
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(*ReadFile(path), "one\ntwo\nthree\n");
}

TEST(LogLine, AFollowerIsSilent) {
  testing::internal::CaptureStderr();
  SetFollower(true);
  EXPECT_TRUE(IsFollower());
  LogLine("one");
  { Progress("cook", "dishes", 1).Add(); }
  SetFollower(false);
  LogLine("two");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "two\n");
}

TEST(LogLine, ALogFileThatCannotBeOpened) {
  const std::string path = testing::TempDir() + "/none/x.log";
  const absl::Status status = SetLogFile(path);
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(absl::StrContains(status.message(), path)) << status;
}

TEST(LogLine, LinesOfThreadsStayWhole) {
  testing::internal::CaptureStderr();
  {
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < 100; ++i) LogLine("a whole line");
      });
    }
  }
  const std::string text = testing::internal::GetCapturedStderr();
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  EXPECT_EQ(lines.size(), 400);
  for (const std::string& line : lines) EXPECT_EQ(line, "a whole line");
}

TEST(Progress, OneLineAtTheEndElsewhere) {
  testing::internal::CaptureStderr();
  {
    Progress progress("cook", "meals", 10);
    progress.Add(4, true);
    progress.SetNote("salt 0.5");
    for (int i = 0; i < 6; ++i) progress.Add();
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  EXPECT_TRUE(absl::StartsWith(text, "cook: 10/10 meals (4 already done), ")) << text;
  EXPECT_TRUE(absl::StrContains(text, " meals/s, salt 0.5, 0.")) << text;
}

TEST(Progress, SkippedOnesMakeNoRate) {
  testing::internal::CaptureStderr();
  {
    Progress progress("cook", "meals", 10);
    progress.Add(10, true);
  }
  EXPECT_FALSE(absl::StrContains(testing::internal::GetCapturedStderr(), "meals/s"));
}

TEST(Progress, ABarOnATerminal) {
  Terminal terminal;
  {
    Progress progress("cook", "meals", 4);
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
    progress.Add(2);
    LogLine("in between");
  }
  const std::string text = terminal.Take();
  const size_t bar = text.find("[============            ] cook: 2/4 meals, ");
  ASSERT_NE(bar, std::string::npos) << text;
  EXPECT_TRUE(absl::StrContains(text.substr(bar), " left"));
  // Cleared before the line, drawn again after it.
  const size_t line = text.find("\r\x1b[Kin between\r\n[====", bar);
  ASSERT_NE(line, std::string::npos) << text;
  EXPECT_NE(text.find("\r\x1b[Kcook: 2/4 meals", line), std::string::npos) << text;
  EXPECT_TRUE(absl::EndsWith(text, " s\r\n")) << text;
}

TEST(Progress, ManyThreads) {
  testing::internal::CaptureStderr();
  {
    Progress progress("count", "items", 4000);
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&progress] {
        for (int i = 0; i < 1000; ++i) progress.Add();
        progress.SetNote("done");
      });
    }
  }
  EXPECT_TRUE(absl::StartsWith(testing::internal::GetCapturedStderr(), "count: 4000/4000 items"));
}

TEST(Human, Durations) {
  EXPECT_EQ(HumanDuration(3.42), "3.4 s");
  EXPECT_EQ(HumanDuration(59.96), "1 min 00 s");
  EXPECT_EQ(HumanDuration(725), "12 min 05 s");
  EXPECT_EQ(HumanDuration(7800), "2 h 10 min");
  EXPECT_EQ(HumanDuration(3599.9), "1 h 00 min");
  EXPECT_EQ(HumanDuration(-1), "unknown");
  EXPECT_EQ(HumanDuration(INFINITY), "unknown");
  EXPECT_EQ(HumanDuration(NAN), "unknown");
  EXPECT_TRUE(absl::EndsWith(HumanDuration(1e300), " min"));
}

TEST(Human, Bytes) {
  EXPECT_EQ(HumanBytes(512), "512 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1024), "1.0 KiB");
  EXPECT_EQ(HumanBytes(1024 * 1024 - 1), "1.0 MiB");
  EXPECT_EQ(HumanBytes(3565158), "3.4 MiB");
  EXPECT_EQ(HumanBytes(~uint64_t{0}), "16.0 EiB");
}

TEST(AlignedTable, NumbersAreRightAligned) {
  EXPECT_EQ(AlignedTable({{"name", "r@1"}, {"a longer name", "0.5"}, {"b", "12.25"}, {"é", "50%"}}),
            "name           r@1\n"
            "a longer name    0.5\n"
            "b              12.25\n"
            "é                50%\n");
  EXPECT_EQ(AlignedTable({}), "");
  EXPECT_EQ(AlignedTable({{"a"}, {"b", "c"}}), "a\nb  c\n");
}

}  // namespace
}  // namespace manyform

#include "base/run_main.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/config.h"
#include "base/files.h"
#include "base/follower.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/result_writer.h"
#include "base/testing/test_config.pb.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

int runs = 0;
TestConfig seen;

absl::StatusOr<TestResult> Cook(const TestConfig& config) {
  ++runs;
  seen = config;
  TestResult result;
  result.set_total(int64_t{2} * config.n_point());
  if (config.root() == "throw") throw std::runtime_error("library\nsaid so\n");
  if (config.root() == "throw_int") throw 3;
  if (config.root() == "fail") return absl::DataLossError("a/b.npz: bad checksum");
  if (config.root() == "unfit") return BadConfigError("root and n_point do not go together");
  if (config.root() == "interrupt") {
    raise(SIGINT);
    absl::Status status = CheckInterrupt();
    SetInterruptedForTest(false);
    return status;
  }
  if (config.root().starts_with("follow")) SetFollower(true);
  if (config.root() == "follow_and_fail") return absl::DataLossError("a/b.npz: bad checksum");
  if (config.root() == "findings") {
    result.add_findings("two protocols");
    result.add_findings("three protocols");
  }
  return result;
}

struct Outcome {
  int code;
  std::string out, err;
};

class RunMainTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    ASSERT_TRUE(MakeDirectories(folder_).ok());
    old_ = std::filesystem::current_path();
    setenv("BUILD_WORKING_DIRECTORY", folder_.c_str(), 1);
    runs = 0;
  }
  void TearDown() override {
    unsetenv("BUILD_WORKING_DIRECTORY");
    std::filesystem::current_path(old_);
  }

  Outcome Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "/some/where/cook");
    std::vector<char*> argv;
    argv.reserve(arguments.size());
    for (std::string& argument : arguments) argv.push_back(argument.data());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code =
        RunMain<TestConfig, TestResult>(static_cast<int>(argv.size()), argv.data(), "Cooks.", Cook);
    return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
  }
  // What a bad config says; nothing may have run.
  std::string Refused(const std::vector<std::string>& arguments) {
    runs = 0;
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(runs, 0);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    return outcome.err;
  }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(JoinPath(folder_, name), text).ok());
  }

  std::string folder_;
  std::filesystem::path old_;
};

TEST_F(RunMainTest, RunsAndWritesTheResult) {
  const Outcome outcome = Run({"root=r", "inputs=a,b", "n_point=21", "output=deep/er/out.textproto"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  TestResult result;
  ASSERT_TRUE(ReadResult(folder_ + "/deep/er/out.textproto", &result).ok());
  EXPECT_EQ(result.total(), 42);
  EXPECT_EQ(result.provenance().binary(), "cook");
  EXPECT_TRUE(absl::StrContains(result.provenance().config(), "mode: \"fast\""))
      << result.provenance().config();
  EXPECT_TRUE(absl::StrContains(result.provenance().config(), "n_point: 21"));
}

TEST_F(RunMainTest, AFollowerWritesNothingButItsErrors) {
  Outcome outcome = Run({"root=follow", "inputs=a", "output=out.textproto"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_TRUE(ListDirectory(folder_)->empty());
  outcome = Run({"root=follow_and_fail", "inputs=a"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err, "error: a/b.npz: bad checksum\n");
  SetFollower(false);
}

TEST_F(RunMainTest, WithoutAResultFileNothingIsWritten) {
  EXPECT_EQ(Run({"root=r", "inputs=a"}).code, 0);
  EXPECT_TRUE(ListDirectory(folder_)->empty());
}

TEST_F(RunMainTest, OverridesWinOverFilesAndLaterOverEarlier) {
  Write("one.textproto", "root: 'one' inputs: 'a' inputs: 'b' n_point: 1 seed: 1 rate: 1");
  Write("two.textproto", "inputs: 'c' n_point: 2 seed: 2");
  EXPECT_EQ(Run({"n_point=3", "--config", "one.textproto", "--config=two.textproto"}).code, 0);
  EXPECT_EQ(seen.root(), "one");
  EXPECT_EQ(seen.inputs_size(), 1);
  EXPECT_EQ(seen.n_point(), 3);
  EXPECT_EQ(seen.seed(), 2);
  EXPECT_EQ(seen.rate(), 1);
}

TEST_F(RunMainTest, TypedStringsStayAsTyped) {
  EXPECT_EQ(Run({"root=./x//y/../y/", "inputs=a"}).code, 0);
  EXPECT_EQ(seen.root(), "./x//y/../y/");
}

TEST_F(RunMainTest, BadConfigs) {
  EXPECT_EQ(Refused({"root=r", "inputs=a", "n_points=3"}),
            "error: unknown field \"n_points\"; did you mean n_point?\n");
  EXPECT_EQ(Refused({"root=r", "inputs=a", "n_point=0"}),
            "error: field n_point: got \"0\", expected an integer in [1, 65536]\n");
  EXPECT_EQ(Refused({"root=r", "inputs=a", "mode=warp"}),
            "error: field mode: got \"warp\", expected one of fast, slow\n");
  EXPECT_EQ(Refused({"inputs=a"}), "error: field root is required: give root=..., a string\n");
  EXPECT_EQ(Refused({"root=r"}), "error: field inputs is required: give inputs=..., a string\n");
  EXPECT_EQ(Refused({"root=r", "inputs=a", "word"}), "error: argument \"word\": expected field=value\n");
  EXPECT_EQ(Refused({"--n_point=3"}),
            "error: unknown option --n_point=3; a field is given as field=value, see --help\n");
  EXPECT_EQ(Refused({"--config"}), "error: option --config needs a file\n");
  EXPECT_EQ(
      Refused({"root=r", "inputs=a", "output=result.csv"}),
      "error: field output: \"result.csv\" must end in .binpb, .textproto or .json, which is its format\n");
}

TEST_F(RunMainTest, OptionsThatTheProgramFindsUnfit) {
  const Outcome outcome = Run({"root=unfit", "inputs=a"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(outcome.err, "error: root and n_point do not go together\n");
}

TEST_F(RunMainTest, BadConfigFiles) {
  EXPECT_EQ(Refused({"--config", "none.textproto"}),
            "error: none.textproto: cannot open: No such file or directory\n");
  Write("bad.textproto", "root: 'r'\nn_point: 'x'\n");
  EXPECT_TRUE(absl::StartsWith(Refused({"--config=bad.textproto"}), "error: bad.textproto:2:10: "));
  Write("range.textproto", "root: 'r' inputs: 'a' n_point: 70000");
  EXPECT_EQ(Refused({"--config=range.textproto"}),
            "error: field n_point: got \"70000\", expected an integer in [1, 65536]\n");
}

TEST_F(RunMainTest, ALogFileThatCannotBeOpened) {
  EXPECT_TRUE(absl::StrContains(Refused({"root=r", "inputs=a", "--log", "none/x.log"}), "none/x.log"));
}

TEST_F(RunMainTest, TheLogFileHasTheErrorToo) {
  EXPECT_EQ(Run({"root=fail", "inputs=a", "--log=run.log"}).code, 1);
  EXPECT_EQ(*ReadFile(folder_ + "/run.log"), "error: a/b.npz: bad checksum\n");
}

TEST_F(RunMainTest, FailuresAreOneLineAndLeaveNothing) {
  const std::pair<std::string, std::string> cases[] = {
      {"fail", "error: a/b.npz: bad checksum\n"},
      {"throw", "error: library; said so\n"},
      {"throw_int", "error: an exception of unknown type\n"},
      {"interrupt", "error: interrupted by a signal\n"},
  };
  for (const auto& [root, message] : cases) {
    const Outcome outcome = Run({"root=" + root, "inputs=a", "output=out.json"});
    EXPECT_EQ(outcome.code, 1) << root;
    EXPECT_EQ(outcome.err, message);
    EXPECT_FALSE(FileExists(folder_ + "/out.json"));
  }
}

TEST_F(RunMainTest, AResultThatCannotBeWritten) {
  Write("file", "");
  const Outcome outcome = Run({"root=r", "inputs=a", "output=file/out.json"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_TRUE(absl::StartsWith(outcome.err, "error: file")) << outcome.err;
}

TEST_F(RunMainTest, FindingsAreSaidAndWritten) {
  const Outcome outcome = Run({"root=findings", "inputs=a", "output=out.binpb"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_EQ(outcome.err, "finding: two protocols\nfinding: three protocols\n");
  TestResult result;
  ASSERT_TRUE(ReadResult(folder_ + "/out.binpb", &result).ok());
  EXPECT_EQ(result.findings_size(), 2);
}

TEST_F(RunMainTest, FindingsWithAFormOfTheirOwnAreCounted) {
  for (const auto& [count, text] :
       {std::pair(0, ""), std::pair(1, "1 finding\n"), std::pair(2, "2 findings\n")}) {
    TestConfig config;
    TestFindingsResult result;
    char program[] = "audit", root[] = "root=r", inputs[] = "inputs=a";
    char* argv[] = {program, root, inputs};
    testing::internal::CaptureStderr();
    const int code = RunMainUntyped(3, argv, "Looks.", config, result, [&, count = count] {
      for (int i = 0; i < count; ++i) result.add_findings()->set_text("leak");
      return absl::OkStatus();
    });
    EXPECT_EQ(testing::internal::GetCapturedStderr(), text);
    EXPECT_EQ(code, count == 0 ? 0 : 3);
  }
}

TEST_F(RunMainTest, HelpRunsNothing) {
  for (const char* option : {"--help", "-h"}) {
    const Outcome outcome = Run({"nonsense", option});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_TRUE(absl::StartsWith(outcome.out, "Cooks.\n\nUsage: cook ")) << outcome.out;
    EXPECT_EQ(runs, 0);
  }
}

TEST_F(RunMainTest, ABuildWorkingDirectoryThatIsGone) {
  setenv("BUILD_WORKING_DIRECTORY", "/nowhere/at/all", 1);
  EXPECT_TRUE(absl::StrContains(Refused({"root=r", "inputs=a"}), "BUILD_WORKING_DIRECTORY=/nowhere/at/all"));
}

}  // namespace
}  // namespace manyform

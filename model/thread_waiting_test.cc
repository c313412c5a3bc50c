#include "model/thread_waiting.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "gtest/gtest.h"

namespace manyform {
namespace {

// Run by the test below in the program that was started anew.
TEST(SleepBetweenParallelLoops, DISABLED_SeesPolicy) {
  ASSERT_NE(getenv("OMP_WAIT_POLICY"), nullptr);
  EXPECT_STREQ(getenv("OMP_WAIT_POLICY"), "passive");
}

TEST(SleepBetweenParallelLoops, StartsTheProgramAnewWithThePolicySet) {
  const pid_t child = fork();
  if (child == 0) {
    unsetenv("OMP_WAIT_POLICY");
    unsetenv("XML_OUTPUT_FILE");
    std::string name = "thread_waiting_test", filter = "--gtest_filter=*DISABLED_SeesPolicy",
                disabled = "--gtest_also_run_disabled_tests";
    char* argv[] = {name.data(), filter.data(), disabled.data(), nullptr};
    SleepBetweenParallelLoops(argv);
    _exit(99);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(SleepBetweenParallelLoops, LeavesAGivenPolicyAlone) {
  setenv("OMP_WAIT_POLICY", "active", 1);
  SleepBetweenParallelLoops(nullptr);
  EXPECT_STREQ(getenv("OMP_WAIT_POLICY"), "active");
}

}  // namespace
}  // namespace manyform

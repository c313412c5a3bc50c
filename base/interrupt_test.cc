#include "base/interrupt.h"

#include <signal.h>

#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(Interrupt, FirstSignalSetsTheFlag) {
  InstallInterruptHandler();
  for (const int number : {SIGINT, SIGTERM}) {
    EXPECT_TRUE(CheckInterrupt().ok());
    raise(number);
    EXPECT_TRUE(Interrupted());
    EXPECT_EQ(CheckInterrupt().code(), absl::StatusCode::kCancelled);
    SetInterruptedForTest(false);
  }
}

TEST(InterruptDeathTest, SecondSignalEnds) {
  EXPECT_EXIT(
      {
        InstallInterruptHandler();
        raise(SIGINT);
        raise(SIGTERM);
      },
      testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace manyform

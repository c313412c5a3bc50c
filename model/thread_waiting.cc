#include "model/thread_waiting.h"

#include <unistd.h>

#include <cstdlib>

namespace manyform {

void SleepBetweenParallelLoops(char** argv) {
  constexpr char kPolicy[] = "OMP_WAIT_POLICY";
  if (getenv(kPolicy) != nullptr || setenv(kPolicy, "passive", 1) != 0) return;
  execv("/proc/self/exe", argv);
}

}  // namespace manyform

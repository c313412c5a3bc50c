/// \file
/// Ctrl-C, SIGTERM and SIGUSR1 as a flag that loops look at: they finish or checkpoint what they hold, then
/// return.
#pragma once

#include "absl/status/status.h"

namespace manyform {

/// Sets the flag on SIGINT, SIGTERM and SIGUSR1 from now on; a second signal ends the process at once.
void InstallInterruptHandler();
bool Interrupted();
/// OK, or Cancelled("interrupted ...").
absl::Status CheckInterrupt();
/// For tests.
void SetInterruptedForTest(bool value);

}  // namespace manyform

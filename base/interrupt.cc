#include "base/interrupt.h"

#include <signal.h>

#include <atomic>

namespace manyform {
namespace {

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free, "else a signal handler may not touch it");

void OnSignal(int number) {
  if (!interrupted.exchange(true)) return;
  signal(number, SIG_DFL);
  raise(number);
}

}  // namespace

void InstallInterruptHandler() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  // What the flag is not looked at in, such as a library's read, goes on undisturbed.
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // What a scheduler can send ahead of the end of a job's time.
  sigaction(SIGUSR1, &action, nullptr);
}

bool Interrupted() { return interrupted.load(std::memory_order_relaxed); }

absl::Status CheckInterrupt() {
  return Interrupted() ? absl::CancelledError("interrupted by a signal") : absl::OkStatus();
}

void SetInterruptedForTest(bool value) { interrupted = value; }

}  // namespace manyform

#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/interrupt.h"

namespace manyform {
namespace {

absl::Status CallCatching(const std::function<absl::Status(int64_t)>& fn, int64_t i) {
  try {
    return fn(i);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("exception: ", e.what()));
  }
}

class Loop {
 public:
  Loop(int64_t n, const std::function<absl::Status(int64_t)>& fn) : n_(n), fn_(fn) {}

  // One thread's share. Indices start in increasing order, so when i fails, all smaller ones have started and
  // will end: the smallest failure is the same however the threads run.
  void Work() {
    int64_t done = 0;
    while (!stop_.load(std::memory_order_relaxed)) {
      if (Interrupted()) {
        stop_ = true;
        break;
      }
      const int64_t i = next_.fetch_add(1, std::memory_order_relaxed);
      if (i >= n_) break;
      if (absl::Status status = CallCatching(fn_, i); !status.ok()) Fail(i, std::move(status));
      ++done;
    }
    done_.fetch_add(done, std::memory_order_relaxed);
  }

  absl::Status Result() {
    if (!failure_.ok()) return failure_;
    return done_ == n_ ? absl::OkStatus() : CheckInterrupt();
  }

 private:
  void Fail(int64_t i, absl::Status status) {
    stop_ = true;
    const std::lock_guard lock(mutex_);
    if (i >= failed_) return;
    failed_ = i;
    failure_ = std::move(status);
  }

  const int64_t n_;
  const std::function<absl::Status(int64_t)>& fn_;
  // All threads write the one and only read the other: not on one cache line.
  alignas(64) std::atomic<int64_t> next_ = 0;
  alignas(64) std::atomic<bool> stop_ = false;
  std::atomic<int64_t> done_ = 0;
  std::mutex mutex_;
  int64_t failed_ = std::numeric_limits<int64_t>::max();
  absl::Status failure_;
};

}  // namespace

int ResolveThreads(int requested) {
  if (requested > 0) return requested;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

absl::Status ParallelFor(int64_t n, int num_threads, const std::function<absl::Status(int64_t)>& fn) {
  Loop loop(n, fn);
  const int64_t threads = std::min<int64_t>(n, ResolveThreads(num_threads));
  {
    std::vector<std::jthread> others;
    try {
      for (int64_t t = 1; t < threads; ++t) others.emplace_back([&loop] { loop.Work(); });
    } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch)
      // A machine out of threads: those there are do it all.
    }
    loop.Work();
  }
  return loop.Result();
}

}  // namespace manyform

#include "base/thread_pool.h"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/interrupt.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(ParallelFor, CallsEachIndexOnce) {
  for (int threads = 0; threads <= 8; ++threads) {
    for (const int64_t n : {0, 1, 2, 7, 1000}) {
      std::vector<int64_t> calls(n, 0);
      EXPECT_TRUE(ParallelFor(n, threads, [&](int64_t i) {
                    calls[i] += i + 1;
                    return absl::OkStatus();
                  }).ok());
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(calls[i], i + 1) << threads << " threads, " << n;
    }
  }
}

TEST(ParallelFor, OneThreadIsTheCaller) {
  std::vector<int64_t> order;
  const std::thread::id caller = std::this_thread::get_id();
  EXPECT_TRUE(ParallelFor(5, 1, [&](int64_t i) {
                EXPECT_EQ(std::this_thread::get_id(), caller);
                order.push_back(i);
                return absl::OkStatus();
              }).ok());
  EXPECT_EQ(order, (std::vector<int64_t>{0, 1, 2, 3, 4}));
}

TEST(ParallelFor, UsesTheThreadsAskedFor) {
  // Each waits for the other: one thread would never come back.
  std::atomic<int> arrived = 0;
  EXPECT_TRUE(ParallelFor(2, 2, [&](int64_t) {
                ++arrived;
                while (arrived < 2) std::this_thread::yield();
                return absl::OkStatus();
              }).ok());
}

TEST(ParallelFor, ReportsTheSmallestFailure) {
  for (int threads = 1; threads <= 8; ++threads) {
    for (int round = 0; round < 20; ++round) {
      std::atomic<int64_t> calls = 0;
      const absl::Status status = ParallelFor(1000000, threads, [&](int64_t i) {
        ++calls;
        // The earlier failure comes later in time.
        if (i == 17) std::this_thread::sleep_for(std::chrono::microseconds(300));
        return i >= 17 ? absl::DataLossError(std::to_string(i)) : absl::OkStatus();
      });
      EXPECT_EQ(status, absl::DataLossError("17")) << threads;
      EXPECT_LT(calls, 1000) << threads;
    }
  }
}

TEST(ParallelFor, ExceptionsBecomeErrors) {
  for (const int threads : {1, 4}) {
    const absl::Status status = ParallelFor(
        10, threads, [](int64_t i) -> absl::Status { throw std::runtime_error(std::to_string(i)); });
    EXPECT_EQ(status, absl::InternalError("exception: 0"));
    EXPECT_EQ(ParallelFor(3, threads, [](int64_t) -> absl::Status { throw std::bad_alloc(); }).code(),
              absl::StatusCode::kResourceExhausted);
  }
}

TEST(ParallelFor, Nests) {
  std::vector<int64_t> sums(6, 0);
  EXPECT_TRUE(ParallelFor(6, 3, [&](int64_t i) {
                std::vector<int64_t> parts(50);
                absl::Status status = ParallelFor(50, 2, [&](int64_t j) {
                  parts[j] = i * j;
                  return absl::OkStatus();
                });
                for (const int64_t part : parts) sums[i] += part;
                return status;
              }).ok());
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(sums[i], i * 1225);
}

TEST(ParallelFor, StopsWhenInterrupted) {
  for (const int threads : {1, 4}) {
    std::atomic<int64_t> calls = 0;
    const absl::Status status = ParallelFor(1000000, threads, [&](int64_t i) {
      ++calls;
      if (i == 20) SetInterruptedForTest(true);
      return absl::OkStatus();
    });
    SetInterruptedForTest(false);
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
    EXPECT_GT(calls, 20);
    EXPECT_LT(calls, 1000000);
  }
}

TEST(ResolveThreads, ZeroMeansAll) {
  EXPECT_EQ(ResolveThreads(3), 3);
  EXPECT_GE(ResolveThreads(0), 1);
}

}  // namespace
}  // namespace manyform

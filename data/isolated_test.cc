#include "data/isolated.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

std::string MessageOf(const std::function<absl::StatusOr<std::string>()>& work, IsolationLimits limits = {}) {
  const auto result = RunIsolated(work, limits);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument) << result.status();
  return std::string(result.status().message());
}

TEST(RunIsolated, ResultsAndErrorsComeBackAndNothingElse) {
  int changed = 0;
  const std::string large(3'000'000, 'x');
  const auto result = RunIsolated([&]() -> absl::StatusOr<std::string> {
    changed = 1;
    return large + '\0';
  });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(*result, large + '\0');
  EXPECT_EQ(changed, 0);
  EXPECT_EQ(*RunIsolated([]() -> absl::StatusOr<std::string> { return ""; }), "");
  const auto status =
      RunIsolated([]() -> absl::StatusOr<std::string> { return absl::DataLossError("torn"); }).status();
  EXPECT_EQ(status, absl::DataLossError("torn"));
}

TEST(RunIsolated, WhatGoesWrongIsSaid) {
  EXPECT_EQ(MessageOf([]() -> absl::StatusOr<std::string> { throw std::runtime_error("no"); }), "no");
  EXPECT_EQ(MessageOf([]() -> absl::StatusOr<std::string> {
              std::raise(SIGSEGV);
              return "";
            }),
            "crashed (Segmentation fault)");
  EXPECT_EQ(MessageOf([]() -> absl::StatusOr<std::string> { abort(); }), "crashed (Aborted)");
  EXPECT_EQ(MessageOf([]() -> absl::StatusOr<std::string> { _exit(0); }), "ended without a result");
  const auto hang = []() -> absl::StatusOr<std::string> {
    while (true) pause();
  };
  EXPECT_EQ(MessageOf(hang, {.seconds = 0.2}), "not done after 0.2 s");
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(RunIsolated, MemoryIsLimited) {
  const auto allocate = [](size_t bytes) -> absl::StatusOr<std::string> {
    std::vector<char> memory(bytes, 'x');
    return absl::StrCat(memory.size());
  };
  const IsolationLimits limits = {.bytes = 100 << 20};
  EXPECT_EQ(*RunIsolated([&] { return allocate(50 << 20); }, limits), absl::StrCat(50 << 20));
  EXPECT_EQ(MessageOf([&] { return allocate(200 << 20); }, limits), "needs more memory than it may have");
}
#endif

TEST(RunIsolated, FromManyThreads) {
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 20; ++i) {
        const auto result = RunIsolated([&]() -> absl::StatusOr<std::string> {
          if (i % 5 == 4) std::raise(SIGSEGV);
          return absl::StrCat(t, " ", i);
        });
        if (i % 5 == 4) {
          EXPECT_TRUE(absl::StrContains(result.status().message(), "crashed"));
        } else {
          EXPECT_EQ(*result, absl::StrCat(t, " ", i));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace manyform

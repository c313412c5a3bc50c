// Members of a group as threads of one process: LibTorch's code is behind headers of another version, and
// this is what holds the two together.
#include "train/process_group.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "train/testing/free_port.h"

namespace manyform {
namespace {

ProcessPlace Place(int64_t rank, int64_t size, int64_t port) {
  return {.rank = rank, .size = size, .local_rank = rank, .master = "127.0.0.1", .port = port};
}

// What `member` returns in each process of a group.
std::vector<absl::Status> InGroup(int64_t size, double timeout_s,
                                  const std::function<absl::Status(ProcessGroup&)>& member,
                                  int64_t port = FreePort()) {
  std::vector<absl::Status> statuses(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      auto group = JoinProcessGroup(Place(rank, size, port), timeout_s);
      statuses[rank] = group.ok() ? member(**group) : group.status();
    });
  for (std::thread& thread : threads) thread.join();
  return statuses;
}

void ExpectAllOk(const std::vector<absl::Status>& statuses) {
  for (const absl::Status& status : statuses) EXPECT_TRUE(status.ok()) << status;
}

TEST(ProcessGroupTest, OneProcessKeepsWhatItHas) {
  const auto group = JoinProcessGroup(ProcessPlace(), 1).value();
  EXPECT_TRUE(group->alone() && group->first());
  const at::Tensor values = at::tensor({1.5f, 2.5f});
  EXPECT_TRUE(group->AllReduceSum(values).ok());
  EXPECT_TRUE(group->Broadcast(values).ok());
  EXPECT_TRUE(values.equal(at::tensor({1.5f, 2.5f})));
  EXPECT_TRUE(group->Any(true).value());
  EXPECT_FALSE(group->Any(false).value());
}

TEST(ProcessGroupTest, SumsAreTheSameEverywhere) {
  ExpectAllOk(InGroup(3, 20, [](ProcessGroup& group) -> absl::Status {
    for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kByte, at::kInt, at::kLong}) {
      // A transposed one is not contiguous.
      const at::Tensor values =
          at::arange(1000, type == at::kByte ? at::kInt : type).remainder(50).to(type).view({10, 100}).t();
      const at::Tensor before = values.clone();
      EXPECT_TRUE(group.AllReduceSum(values).ok());
      EXPECT_TRUE(values.equal(before * 3)) << type;
    }
    double numbers[] = {static_cast<double>(group.rank()), 1};
    EXPECT_TRUE(group.AllReduceSum(numbers).ok());
    EXPECT_EQ(numbers[0], 3);
    EXPECT_EQ(numbers[1], 3);
    EXPECT_TRUE(group.Any(group.rank() == 2).value());
    EXPECT_FALSE(group.Any(false).value());
    const at::Tensor ranks = at::full({7}, group.rank(), at::kLong);
    EXPECT_TRUE(group.Broadcast(ranks).ok());
    EXPECT_TRUE(ranks.equal(at::zeros({7}, at::kLong)));
    return absl::OkStatus();
  }));
}

TEST(ProcessGroupTest, GradientsAreSummedInBuckets) {
  ExpectAllOk(InGroup(2, 20, [](ProcessGroup& group) -> absl::Status {
    NamedTensors parameters;
    // More than a bucket in front of small ones.
    for (const int64_t size : {int64_t{5'000'000}, int64_t{3}, int64_t{2}, int64_t{4}})
      parameters.emplace_back("p", at::zeros({size}).set_requires_grad(true));
    const float own = group.first() ? 1.f : 10.f;
    parameters[0].second.mutable_grad() = at::full({5'000'000}, own);
    parameters[1].second.mutable_grad() = at::tensor({own, 2 * own, 3 * own});
    if (!group.first()) parameters[2].second.mutable_grad() = at::tensor({4.f, 5.f});
    EXPECT_TRUE(AllReduceGradients(parameters, &group).ok());
    EXPECT_TRUE(parameters[0].second.grad().eq(11).all().item<bool>());
    EXPECT_TRUE(parameters[1].second.grad().equal(at::tensor({11.f, 22.f, 33.f})));
    EXPECT_TRUE(parameters[2].second.grad().equal(at::tensor({4.f, 5.f})));
    EXPECT_FALSE(parameters[3].second.grad().defined());
    return absl::OkStatus();
  }));
}

TEST(ProcessGroupTest, AProcessThatLeavesIsMissed) {
  const auto statuses = InGroup(2, 20, [](ProcessGroup& group) -> absl::Status {
    const at::Tensor value = at::ones({1});
    absl::Status status = group.AllReduceSum(value);
    if (!status.ok() || group.rank() == 1) return status;
    status = group.AllReduceSum(value);
    EXPECT_EQ(group.Broadcast(value), status);
    return status;
  });
  EXPECT_TRUE(statuses[1].ok()) << statuses[1];
  EXPECT_EQ(statuses[0].code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(statuses[0].message(), "process 0 of 2 has lost another one")) << statuses[0];
}

TEST(ProcessGroupTest, ASilentProcessIsNotWaitedForForEver) {
  const auto statuses = InGroup(2, 1, [](ProcessGroup& group) -> absl::Status {
    if (group.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    return group.AllReduceSum(at::ones({1}));
  });
  EXPECT_EQ(statuses[0].code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(statuses[0].message(), "dist_timeout_s")) << statuses[0];
}

TEST(ProcessGroupTest, TheStoreOfTorchrunServesItsRestartsToo) {
  c10d::TCPStoreOptions options;
  options.port = 0;
  options.isServer = true;
  options.waitWorkers = false;
  const auto store = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  setenv("TORCHELASTIC_USE_AGENT_STORE", "True", 1);
  for (const char* attempt : {"0", "1"}) {
    setenv("TORCHELASTIC_RESTART_COUNT", attempt, 1);
    ExpectAllOk(InGroup(
        2, 20, [](ProcessGroup& group) { return group.AllReduceSum(at::ones({1})); }, store->getPort()));
  }
  unsetenv("TORCHELASTIC_USE_AGENT_STORE");
  unsetenv("TORCHELASTIC_RESTART_COUNT");
}

TEST(ProcessGroupTest, AnotherBackendIsRefused) {
  const absl::Status status = JoinProcessGroup(ProcessPlace(), 1, "nccl").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "dist_backend=nccl")) << status;
}

TEST(ProcessGroupTest, ProcessesThatDoNotComeAreNotWaitedForForEver) {
  const absl::Status status = JoinProcessGroup(Place(0, 2, FreePort()), 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(status.message(), "cannot meet the others at 127.0.0.1:")) << status;
}

}  // namespace
}  // namespace manyform

#include "train/share_checkpoint.h"

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "train/testing/free_port.h"

namespace manyform {
namespace {

// Two processes; number r does `member(r, group)`.
void InPair(const std::function<void(int64_t, ProcessGroup*)>& member) {
  const int64_t port = FreePort();
  const auto join = [&](int64_t rank) {
    const auto group = JoinProcessGroup({.rank = rank, .size = 2, .master = "127.0.0.1", .port = port}, 20);
    ASSERT_TRUE(group.ok()) << group.status();
    member(rank, group->get());
  };
  std::thread other(join, 1);
  join(0);
  other.join();
}

Checkpoint Filled(float value) {
  Checkpoint checkpoint;
  checkpoint.header.set_config_fingerprint("config");
  // A leaf that requires gradients, as weights do.
  checkpoint.model.emplace_back("w", at::full({2, 3}, value).set_requires_grad(true));
  checkpoint.exp_avg.emplace_back("w", at::full({2, 3}, value + 1));
  checkpoint.step.emplace_back("w", at::scalar_tensor(value + 2));
  return checkpoint;
}

TEST(ShareCheckpointTest, AllBeginWhereTheFirstDoes) {
  InPair([](int64_t rank, ProcessGroup* group) {
    const Checkpoint own = Filled(rank == 0 ? 5.f : 0.f);
    int64_t epoch = 7 - rank, step = rank == 0 ? 70 : 0;
    ASSERT_TRUE(ShareCheckpoint(own, 10, {&epoch, &step}, group).ok());
    EXPECT_EQ(epoch, 7);
    EXPECT_EQ(step, 70);
    EXPECT_TRUE(own.model[0].second.equal(at::full({2, 3}, 5.f)));
    EXPECT_TRUE(own.exp_avg[0].second.equal(at::full({2, 3}, 6.f)));
    EXPECT_EQ(own.step[0].second.item<float>(), 7);
  });
}

TEST(ShareCheckpointTest, OtherSettingsInputsOrEpochsAreRefusedByAll) {
  for (const std::string what : {"config", "data", "epochs"}) {
    InPair([&](int64_t rank, ProcessGroup* group) {
      Checkpoint own = Filled(1);
      if (what == "config" && rank == 1) own.header.set_config_fingerprint("another");
      if (what == "data" && rank == 1) own.header.set_data_fingerprint("another");
      const absl::Status status = ShareCheckpoint(own, what == "epochs" ? 10 + rank : 10, {}, group);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << what;
      EXPECT_TRUE(absl::StrContains(status.message(), "different settings or inputs")) << status;
    });
  }
}

}  // namespace
}  // namespace manyform

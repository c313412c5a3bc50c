#include "model/device.h"

#include <ATen/ATen.h>

#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(SelectDevice, CpuIsAlwaysThere) {
  const auto device = SelectDevice("cpu");
  ASSERT_TRUE(device.ok());
  EXPECT_EQ(at::zeros({2}, *device).sum().item<float>(), 0);
}

TEST(SelectDevice, OtherNamesAreRefused) {
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"}) {
    EXPECT_EQ(SelectDevice(name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST(SelectDevice, AskedForByNameItIsThereOrAnErrorSaysWhy) {
  const auto automatic = SelectDevice("auto"), named = SelectDevice("cuda:0");
  ASSERT_TRUE(automatic.ok());
  EXPECT_EQ(automatic->is_cuda(), named.ok());
  if (named.ok()) {
    EXPECT_EQ((at::ones({3}, *named) * 2).sum().item<float>(), 6);
    EXPECT_EQ(SelectDevice("cuda:1000").status().code(), absl::StatusCode::kFailedPrecondition);
  } else {
    EXPECT_EQ(named.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_NE(named.status().message().find("cuda"), absl::string_view::npos) << named.status();
  }
}

TEST(StagingAllocator, OnlyGpusNeedOne) {
  EXPECT_FALSE(StagingAllocator(c10::kCPU));
  const auto named = SelectDevice("cuda:0");
  if (!named.ok()) GTEST_SKIP() << named.status();
  const auto memory = StagingAllocator(*named)(64);
  const at::Tensor staged = at::from_blob(memory.get(), {16}, at::kFloat).fill_(2);
  EXPECT_TRUE(staged.is_pinned());
  EXPECT_EQ(staged.to(*named, /*non_blocking=*/true).sum().item<float>(), 32);
}

}  // namespace
}  // namespace manyform

#include "train/process_place.h"

#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Environment = std::vector<std::pair<std::string, std::string>>;

absl::StatusOr<ProcessPlace> PlaceIn(const Environment& environment) {
  for (const char* name : {"WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "SLURM_NTASKS",
                           "SLURM_PROCID", "SLURM_LOCALID"})
    unsetenv(name);
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  return ReadProcessPlace();
}

TEST(ProcessPlaceTest, OneProcess) {
  for (const Environment& environment :
       {Environment{}, Environment{{"WORLD_SIZE", "1"}}, Environment{{"WORLD_SIZE", ""}},
        // A batch script's own process has these too; srun's are told apart by MASTER_ADDR.
        Environment{{"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "0"}}}) {
    const auto place = PlaceIn(environment);
    ASSERT_TRUE(place.ok()) << place.status();
    EXPECT_TRUE(place->alone());
    EXPECT_EQ(DeviceOfProcess("cuda", *place), "cuda");
  }
}

TEST(ProcessPlaceTest, TorchrunAndSrun) {
  const ProcessPlace torchrun = PlaceIn({{"WORLD_SIZE", "8"},
                                         {"RANK", "5"},
                                         {"LOCAL_RANK", "1"},
                                         {"MASTER_ADDR", "node0"},
                                         {"MASTER_PORT", "29500"},
                                         {"SLURM_NTASKS", "2"}})
                                    .value();
  const ProcessPlace srun = PlaceIn({{"SLURM_NTASKS", "8"},
                                     {"SLURM_PROCID", "5"},
                                     {"SLURM_LOCALID", "1"},
                                     {"MASTER_ADDR", "node0"},
                                     {"MASTER_PORT", "29500"}})
                                .value();
  for (const ProcessPlace& place : {torchrun, srun}) {
    EXPECT_EQ(place.size, 8);
    EXPECT_EQ(place.rank, 5);
    EXPECT_EQ(place.local_rank, 1);
    EXPECT_EQ(place.master, "node0");
    EXPECT_EQ(place.port, 29500);
    EXPECT_EQ(DeviceOfProcess("cuda", place), "cuda:1");
    EXPECT_EQ(DeviceOfProcess("cuda:0", place), "cuda:0");
    EXPECT_EQ(DeviceOfProcess("cpu", place), "cpu");
  }
}

TEST(ProcessPlaceTest, BatchesAreDivided) {
  testing::internal::CaptureStderr();
  EXPECT_TRUE(CheckBatchDivides(1, {}).ok());
  EXPECT_TRUE(CheckBatchDivides(6, {.size = 3}).ok());
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  testing::internal::CaptureStderr();
  EXPECT_TRUE(CheckBatchDivides(8, {.size = 3}).ok());
  EXPECT_TRUE(absl::StrContains(testing::internal::GetCapturedStderr(), "2 of 3 processes have one more"));
  const absl::Status status = CheckBatchDivides(2, {.size = 3});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "batch: 2 ")) << status;
}

TEST(ProcessPlaceTest, WhatIsMissingIsNamed) {
  const Environment whole = {
      {"WORLD_SIZE", "2"}, {"RANK", "1"}, {"MASTER_ADDR", "node0"}, {"MASTER_PORT", "29500"}};
  ASSERT_TRUE(PlaceIn(whole).ok());
  for (const auto& [name, unused] : whole) {
    Environment part = whole;
    std::erase_if(part, [&, &name = name](const auto& entry) { return entry.first == name; });
    const absl::Status status = PlaceIn(part).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_TRUE(absl::StrContains(status.message(), name)) << status;
  }
  for (const auto& [name, value] :
       Environment{{"WORLD_SIZE", "0"}, {"RANK", "2"}, {"RANK", "one"}, {"MASTER_PORT", "70000"}}) {
    Environment wrong = whole;
    wrong.emplace_back(name, value);
    EXPECT_TRUE(absl::StrContains(PlaceIn(wrong).status().message(), name)) << name;
  }
}

}  // namespace
}  // namespace manyform

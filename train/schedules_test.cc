#include "train/schedules.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Json = nlohmann::json;

Json Published() { return Json::parse(std::ifstream("testdata/golden/e_model/train/train.json")); }

std::string Argument(const Json& run, const std::string& name, const std::string& otherwise) {
  const Json& args = run["args"];
  for (size_t i = 0; i + 1 < args.size(); ++i)
    if (args[i] == "--" + name) return args[i + 1];
  return otherwise;
}

TEST(SizeSchedule, HoldsFromItsEpochOn) {
  const SizeSchedule s = SizeSchedule::Parse("n_point_schedule", "3:8,1:6,5:8", 4).value();
  for (const auto& [epoch, value] : {std::pair(0, 4), {1, 6}, {2, 6}, {3, 8}, {9, 8}})
    EXPECT_EQ(s.At(epoch), value) << epoch;
  EXPECT_EQ(s.NextChange(0), 1);
  EXPECT_EQ(s.NextChange(1), 3);
  EXPECT_EQ(s.NextChange(3), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(SizeSchedule(7).At(100), 7);
}

TEST(SizeSchedule, WhatIsNoScheduleIsRefusedByName) {
  for (const std::string text : {"1", "1:2:3", "a:1", "1:", ":1", "1:2,", "-1:4", "1:-4", "1:2,1:3"}) {
    const auto schedule = SizeSchedule::Parse("n_ray_schedule", text, 4);
    ASSERT_FALSE(schedule.ok()) << text;
    EXPECT_TRUE(absl::StrContains(schedule.status().message(), "n_ray_schedule")) << schedule.status();
  }
}

TEST(DualMaskSchedule, WindowsFollowTheSizesAsPublished) {
  const Json cases = Published()["schedules"];
  ASSERT_EQ(cases.size(), 9u);
  for (const Json& c : cases) {
    const auto parse = [&](const char* name, const char* base) {
      return SizeSchedule::Parse(name, Argument(c, name, ""), c[base]).value();
    };
    const SizeSchedule points = parse("n_point_schedule", "n_point"), rays = parse("n_ray_schedule", "n_ray");
    const DualMaskSchedule schedule = {.full = {.near = 0.4, .window = c["base_window"]},
                                       .total_steps = 5,
                                       .window_scale = ParseWindowScale(c["scale"]).value(),
                                       .reference_total = points.At(0) + rays.At(0)};
    for (int64_t epoch = 0; epoch < 5; ++epoch) {
      const DualMask mask = schedule.At(epoch, points.At(epoch) + rays.At(epoch));
      EXPECT_EQ(mask.window, c["window_per_epoch"][epoch]) << c["args"] << c["scale"] << epoch;
      EXPECT_EQ(mask.near, c["near_per_epoch"][epoch]) << c["args"] << epoch;
    }
  }
}

TEST(DualMaskSchedule, GrowsInAsPublished) {
  for (const std::string name : {"nepa_dual", "nepa_dual_aware", "nepa"}) {
    const Json run = Published()[name];
    const DualMaskSchedule schedule = {
        .full = {.near = std::stod(Argument(run, "dual_mask_near", "0")),
                 .far = std::stod(Argument(run, "dual_mask_far", "0")),
                 .window = std::stoll(Argument(run, "dual_mask_window", "32"))},
        .warmup_frac = std::stod(Argument(run, "dual_mask_warmup_frac", "0.05")),
        .total_steps = 5,
        .reference_total = 15,
        .seed = 5};
    for (int64_t step = 0; step < 5; ++step) {
      const DualMask mask = schedule.At(step, 15);
      const Json& published = run["forward_kwargs"][step];
      EXPECT_DOUBLE_EQ(mask.near, published["dual_mask_near"]) << name << step;
      EXPECT_DOUBLE_EQ(mask.far, published["dual_mask_far"]) << name << step;
      EXPECT_EQ(mask.window, published["dual_mask_window"]) << name << step;
      EXPECT_EQ(mask.seed, published["dual_mask_seed"]) << name << step;
    }
  }
  EXPECT_FALSE(ParseWindowScale("cubic").ok());
}

TEST(LearningRateSchedule, WarmsUpAndFallsAlongACosine) {
  const LearningRateSchedule cosine = {
      .peak = 2, .cosine = true, .least = 0.5, .warmup_steps = 4, .total_steps = 24};
  EXPECT_DOUBLE_EQ(cosine.At(0), 0.5);
  EXPECT_DOUBLE_EQ(cosine.At(3), 2);
  EXPECT_DOUBLE_EQ(cosine.At(4), 2);
  EXPECT_NEAR(cosine.At(14), 1.25, 1e-12);
  EXPECT_NEAR(cosine.At(24), 0.5, 1e-12);
  EXPECT_NEAR(cosine.At(99), 0.5, 1e-12);
  const LearningRateSchedule constant = {.peak = 3e-4, .total_steps = 10};
  for (int64_t step = 0; step < 12; ++step) EXPECT_EQ(constant.At(step), 3e-4);
}

}  // namespace
}  // namespace manyform

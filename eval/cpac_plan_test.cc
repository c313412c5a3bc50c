#include "eval/cpac_plan.h"

#include <algorithm>
#include <set>
#include <string>

#include "eval/golden_for_test.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

std::shared_ptr<const ShapeList> Open(const std::string& split) {
  EnterGoldenFolder();
  return std::make_shared<const ShapeList>(ValueOrDie(ShapeList::Open("c40", split)));
}

/// Whether the error names the field.
void ExpectRefused(const CpacConfig& config, const std::string& field) {
  const auto plan = PlanCpac(config, Open("test"), Open("train_udf"));
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument) << field;
  EXPECT_NE(std::string(plan.status().message()).find(field), std::string::npos) << plan.status();
}

TEST(PlanCpac, HeadAndTestHaveTheirOwnShapesContextsAndSeeds) {
  CpacConfig config;
  config.set_eval_seed(7);
  config.set_max_shapes(9);
  config.set_head_train_max_shapes(100);
  config.set_context_mode_train("none");
  const CpacPlan plan = ValueOrDie(PlanCpac(config, Open("test"), Open("train_udf")));
  EXPECT_FALSE(plan.transductive);
  EXPECT_EQ(plan.test.size(), 9);
  EXPECT_EQ(plan.test.seed, 7 + 999);
  EXPECT_EQ(plan.test.context.backend, Backend::kPointcloudNoray);
  EXPECT_EQ(plan.test.options.ContextPoints(), 256);
  ASSERT_TRUE(plan.head_run.has_value());
  EXPECT_EQ(plan.head_run->size(), 10);
  EXPECT_EQ(plan.head_run->seed, 7);
  EXPECT_EQ(plan.head_run->context.backend, Backend::kUdfgrid);
  EXPECT_EQ(plan.head_run->options.ContextPoints(), 0);
  EXPECT_FALSE(ValueOrDie(PlanCpac(config, Open("test"), nullptr)).head_run.has_value());
}

TEST(PlanCpac, TransductiveShapesAreEitherFittedOrMeasured) {
  CpacConfig config;
  config.set_head_train_split("none");
  for (const int wanted : {0, 1, 14}) {
    config.set_head_train_n(wanted);
    const CpacPlan plan = ValueOrDie(PlanCpac(config, Open("test"), nullptr));
    EXPECT_TRUE(plan.transductive);
    ASSERT_TRUE(plan.head_run.has_value());
    EXPECT_EQ(plan.head_run->size(), wanted == 0 ? 3 : wanted) << "a fifth of 15";
    EXPECT_EQ(plan.head.most_rows, wanted) << "head_train_n counts shapes here, and rows all the same";
    std::set<int64_t> all(plan.test.members.begin(), plan.test.members.end());
    all.insert(plan.head_run->members.begin(), plan.head_run->members.end());
    EXPECT_EQ(all.size(), 15);
    EXPECT_EQ(plan.test.size() + plan.head_run->size(), 15);
    EXPECT_EQ(plan.head_run->context.backend, plan.test.context.backend);
  }
  config.set_head_train_n(15);
  ExpectRefused(config, "leaves none");
}

TEST(PlanCpac, LipschitzNeedsDistances) {
  CpacConfig config;
  config.set_ridge_lipschitz_lambda(2);
  config.set_ridge_lipschitz_seed(6);
  config.set_eval_seed(3);
  CpacPlan plan = ValueOrDie(PlanCpac(config, Open("test"), Open("train_udf")));
  ASSERT_TRUE(plan.head.lipschitz.has_value());
  EXPECT_EQ(plan.head.lipschitz->weight, 2);
  EXPECT_EQ(plan.head.lipschitz_seed, 5);
  config.set_target_transform("log1p");
  plan = ValueOrDie(PlanCpac(config, Open("test"), Open("train_udf")));
  EXPECT_FALSE(plan.head.lipschitz.has_value());
}

TEST(PlanCpac, RefusesWhatMeansNothing) {
  CpacConfig config;
  config.set_context_mode_test("mismatch");
  config.set_mismatch_shift(30);
  ExpectRefused(config, "context_mode_test");
  config.set_mismatch_shift(-1);
  EXPECT_TRUE(PlanCpac(config, Open("test"), Open("train_udf")).ok());
  config.set_grid_res_schedule("16;32");
  ExpectRefused(config, "grid_res_schedule");
  config.set_grid_res_schedule("");
  config.set_grid_sample_mode("coarse_to_fine");
  ExpectRefused(config, "grid_res_schedule");
  config.set_grid_res_schedule("8");
  config.set_grid_c2f_stage_weights("0");
  ExpectRefused(config, "grid_c2f_stage_weights");
  config.clear_grid_c2f_stage_weights();
  config.set_target_transform("trunc");
  config.set_target_trunc_max(0);
  ExpectRefused(config, "target_trunc_max");
}

}  // namespace
}  // namespace manyform

#include "train/bench.h"

#include <ATen/ATen.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "model/attention_masks.h"
#include "model/safetensors.h"
#include "train/auxiliary_terms.h"
#include "train/bench_baseline.h"
#include "train/bench_step.h"
#include "train/objectives.h"
#include "train/optimizer.h"

namespace manyform {
namespace {

at::Tensor Batch(const char* name) {
  const SafeTensors batches = ReadSafeTensors("testdata/golden/e_model/batches.safetensors").value();
  for (const auto& [key, tensor] : batches.tensors)
    if (key == name) return tensor;
  ADD_FAILURE() << name;
  return {};
}

// The slow reference and what is trained with agree, masked or not, step after step.
TEST(TrainBenchTest, BothWaysTrainAlike) {
  const at::Tensor feat = Batch("qa_mixed/feat"), type = Batch("qa_mixed/type").to(at::kLong);
  const TransformerConfig sizes = {.d_model = 24, .layers = 2, .heads = 3, .n_types = 9, .max_len = 64};
  const at::Tensor none = at::zeros({feat.size(1), feat.size(1)});
  for (const bool dual : {false, true}) {
    const QueryTransformer ours = QueryTransformer::Create(sizes, 1).value();
    const QueryTransformer theirs = QueryTransformer::Create(sizes, 1).value();
    AdamW optimizer(ours.parameters(), {});
    BaselineAdamW published(theirs.parameters());
    for (uint32_t step = 0; step < 3; ++step) {
      DualMask mask = {.near = dual ? 0.4 : 0, .far = dual ? 0.1 : 0, .window = 8, .seed = step};
      const at::Tensor blocked = DualMaskBlocked(mask, type);
      const at::Tensor a =
          dual ? SumOf(NepaWithAuxiliary({.model = &ours, .feat = feat, .type_id = type, .blocked = blocked},
                                         {}, {}))
                     .total
               : NepaLoss(ours, feat, type);
      const at::Tensor b = BaselineNepaLoss(theirs, feat, type, none.masked_fill(blocked, -INFINITY));
      EXPECT_NEAR(a.item<double>(), b.item<double>(), 1e-5) << step;
      optimizer.ClearGradients();
      published.ClearGradients();
      a.backward();
      b.backward();
      optimizer.Step();
      published.Step();
    }
    for (size_t i = 0; i < ours.parameters().size(); ++i)
      EXPECT_LT((ours.parameters()[i].second - theirs.parameters()[i].second).abs().max().item<double>(),
                1e-4)
          << ours.parameters()[i].first;
  }
}

TEST(TrainBenchTest, CountsThePublishedStep) {
  // 14.9 M parameters on 32 sequences of 1026 tokens: 3.5 TFLOP with half of the attention.
  EXPECT_NEAR(StepFlop(FindBenchSize("published").value(), 32), 3.5e12, 0.05e12);
}

TEST(TrainBenchTest, EveryRowIsWhatWasAskedFor) {
  TrainBenchConfig config;
  config.set_scratch(testing::TempDir() + "/train_bench");
  config.add_sizes("demo");
  for (const char* mode : {"f32", "bf16_dual", "baseline"}) config.add_modes(mode);
  config.add_threads(1);
  config.set_batch(2);
  config.set_steps(1);
  const auto result = TrainBench(config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(std::filesystem::exists(config.scratch()));
  ASSERT_EQ(result->rows_size(), 3);
  for (const TrainBenchRow& row : result->rows()) {
    EXPECT_EQ(row.length(), 2 + 2 * 128);
    EXPECT_GT(row.step_seconds(), 0);
    EXPECT_LE(row.forward_seconds() + row.backward_seconds() + row.optimizer_seconds(),
              row.step_seconds() * 1.0001);
    EXPECT_GT(row.peak_bytes(), 1 << 20);
    EXPECT_NEAR(row.last_loss(), result->rows(0).last_loss(), 0.3);
  }
  const std::vector<std::string> lines = absl::StrSplit(TrainBenchTable(*result), '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 4);
  for (const std::string& line : lines) EXPECT_EQ(line.size(), lines[0].size());
}

TEST(TrainBenchTest, UnknownNamesAreRefusedWithTheKnownOnes) {
  TrainBenchConfig config;
  config.add_modes("fast");
  EXPECT_EQ(TrainBench(config).status().message(),
            "modes: 'fast', expected one of f32, bf16, f32_dual, bf16_dual, baseline");
}

}  // namespace
}  // namespace manyform

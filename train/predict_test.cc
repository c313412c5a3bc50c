#include "train/predict.h"

#include <ATen/ATen.h>

#include <vector>

#include "gtest/gtest.h"
#include "model/checkpoint.h"
#include "train/testing/golden_finetune.h"

namespace manyform {
namespace {

TEST(PredictTest, LogitsOfResamplesAreAveraged) {
  const FinetuneData data = OpenFinetuneData(GoldenPlan(GoldenConfig())).value();
  const auto model = QueryTransformer::Create(ConfigOf(GoldenHeader()), 1).value();
  const ClassifierHead head(48, 5, 1);
  const PredictOptions options{.eval_seed = 3, .resamples = 2, .batch = 4, .num_workers = 2};
  const at::Tensor logits = PredictLogits(model, head, data.test, data.length, options).value();
  ASSERT_EQ(logits.sizes(), (std::vector<int64_t>{15, 5}));
  // Shape by shape, resample by resample.
  for (int64_t i = 0; i < 15; ++i) {
    at::Tensor sum = at::zeros({5});
    for (int64_t k = 0; k < 2; ++k) {
      std::vector<float> feat(data.length * kFeatures);
      std::vector<uint8_t> type(data.length);
      ASSERT_TRUE(EvalTokens(data.test.dataset, data.test.shapes[i], 3, k, feat, type).ok());
      sum +=
          head.Logits(PooledHidden(model, FeatureTensor(feat.data(), 1, data.length),
                                   TypeTensor(type.data(), 1, data.length), Pooling::kMeanAnswers, false))[0];
    }
    EXPECT_LT((sum / 2 - logits[i]).abs().max().item<double>(), 1e-5);
  }
  EXPECT_EQ(PredictedLabels(at::tensor({0.F, 2.F, 2.F, -1.F, -3.F, -2.F}).view({2, 3})),
            (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(Accuracy({1, 0, 2, 2}, {1, 1, 2, 0}), 0.5);
}

}  // namespace
}  // namespace manyform

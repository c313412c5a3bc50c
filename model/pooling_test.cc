#include "model/pooling.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "model/classifier_head.h"
#include "model/testing/golden_tensors.h"

namespace manyform {
namespace {

TEST(PooledHidden, EveryPoolingMatchesThePublishedLogits) {
  const Arrays batches = GoldenArrays("batches"), weights = GoldenArrays("weights/cls_head7");
  const ClassifierHead head =
      ClassifierHead::FromTensors(48, 7,
                                  {{"cls.weight", weights.at("weight")}, {"cls.bias", weights.at("bias")}})
          .value();
  int compared = 0;
  for (const auto& [key, logits] : GoldenArrays("cls")) {
    const std::vector<std::string> part = absl::StrSplit(key, '/');
    if (part.size() != 4) continue;
    const Pooling pooling = ParsePooling(part[2], part[0] == "causal9").value();
    const at::Tensor ours =
        head.Logits(PooledHidden(GoldenModel(part[0]), batches.at(part[1] + "/feat"),
                                 batches.at(part[1] + "/type").to(at::kLong), pooling, part[3] == "causal"));
    EXPECT_LT(Distance(ours, logits), 1e-5) << key;
    ++compared;
  }
  EXPECT_EQ(compared, 84);
}

TEST(PooledHidden, IsTheMeanOfTheWholeForwardPass) {
  const QueryTransformer model = GoldenModel("causal9");
  const at::Tensor type = at::tensor({0, 5, 6, 7, 8, 4, 0, 1, 2, 3, 3, 4}, at::kLong).view({2, 6});
  const at::Tensor feat = at::randn({2, 6, 15});
  for (const char* name : {"eos", "bos", "mean", "mean_no_special", "mean_pts", "ucpr_mean_a", "mean_zhat"}) {
    const Pooling pooling = ParsePooling(name, true).value();
    for (const bool causal : {false, true}) {
      const Hidden hidden = model.Forward(feat, type, {.causal = causal});
      const at::Tensor values = pooling == Pooling::kMeanPredicted ? hidden.z_hat : hidden.h;
      const at::Tensor pooled = PooledHidden(model, feat, type, pooling, causal);
      for (int64_t b = 0; b < 2; ++b) {
        const at::Tensor rows = PooledTokens(type, pooling)[b].nonzero().squeeze(1);
        const at::Tensor mean = values[b].index_select(0, rows).mean(0);
        EXPECT_LT(Distance(pooled[b], mean), 1e-5) << name << b;
      }
    }
  }
}

TEST(PooledHidden, ASequenceWithoutAnswersBesideOnesWithPoolsToZero) {
  const at::Tensor type = at::tensor({0, 5, 6, 4, 0, 3, 3, 4}, at::kLong).view({2, 4});
  const at::Tensor pooled =
      PooledHidden(GoldenModel("causal9"), at::ones({2, 4, 15}), type, Pooling::kMeanAnswers, false);
  EXPECT_GT(pooled[0].abs().max().item<double>(), 0);
  EXPECT_EQ(pooled[1].abs().max().item<double>(), 0);
}

// One sequence at a time, in words: answers, or what is neither BOS, EOS nor a missing ray, or everything.
TEST(PooledTokens, RetrievalsAnswersAndPredictionsAgreeWithLoops) {
  const auto special = [](int64_t t) { return t == 0 || t == 3 || t == 4; };
  const auto answer = [](int64_t t) { return t == 6 || t == 8; };
  at::manual_seed(3);
  for (int round = 0; round < 40; ++round) {
    const int64_t length = 3 + round % 9;
    // All types, legacy ones, and BOS alone.
    const at::Tensor type =
        at::cat({at::randint(0, 9, {2, length}), at::randint(0, 5, {1, length}), at::zeros({1, length})}, 0)
            .to(at::kLong);
    const at::Tensor answers = PooledTokens(type, Pooling::kMeanAnswersOrRest);
    const at::Tensor predicted = PooledTokens(type, Pooling::kMeanPredicted);
    for (int64_t b = 0; b < type.size(0); ++b) {
      bool any_answer = false, any_ordinary = false;
      for (int64_t t = 0; t < length; ++t) {
        any_answer |= answer(type[b][t].item<int64_t>());
        any_ordinary |= !special(type[b][t].item<int64_t>());
      }
      for (int64_t t = 0; t < length; ++t) {
        const int64_t own = type[b][t].item<int64_t>();
        const bool counts = any_answer ? answer(own) : any_ordinary ? !special(own) : true;
        EXPECT_EQ(answers[b][t].item<bool>(), counts) << type[b] << t;
        if (t == 0) continue;
        EXPECT_EQ(predicted[b][t - 1].item<bool>(), counts) << type[b] << t;
      }
      EXPECT_FALSE(predicted[b][length - 1].item<bool>());
    }
  }
}

TEST(ParsePooling, FollowsTheTokens) {
  EXPECT_EQ(*ParsePooling("auto", true), Pooling::kMeanAnswers);
  EXPECT_EQ(*ParsePooling("auto", false), Pooling::kEos);
  EXPECT_EQ(ParsePooling("max", true).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace manyform

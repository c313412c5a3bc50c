#include "eval/embed.h"

#include <vector>

#include "ATen/ATen.h"
#include "base/numpy_random.h"
#include "data/tokens.h"
#include "gtest/gtest.h"
#include "model/checkpoint.h"

namespace manyform {
namespace {

/// Mean over the tokens that count, one sequence and one number at a time.
std::vector<float> ByHand(const at::Tensor& values, const std::vector<uint8_t>& types, int64_t sequence,
                          bool predictions) {
  const int64_t length = values.size(1), d = values.size(2);
  const auto special = [](uint8_t t) { return t == kBos || t == kEos || t == kMissingRay; };
  bool answers = false, ordinary = false;
  for (int64_t t = 0; t < length; ++t) {
    const uint8_t type = types[sequence * length + t];
    answers |= type == kAnswerPoint || type == kAnswerRay;
    ordinary |= !special(type);
  }
  std::vector<double> sum(d, 0);
  int64_t n = 0;
  for (int64_t t = 0; t < length; ++t) {
    const uint8_t type = types[sequence * length + t];
    const bool counts = answers    ? type == kAnswerPoint || type == kAnswerRay
                        : ordinary ? !special(type)
                                   : true;
    const int64_t at = predictions ? t - 1 : t;
    if (!counts || at < 0) continue;
    ++n;
    const at::Tensor row = values[sequence][at];
    for (int64_t k = 0; k < d; ++k) sum[k] += row.const_data_ptr<float>()[k];
  }
  std::vector<float> mean;
  mean.reserve(sum.size());
  for (const double s : sum) mean.push_back(static_cast<float>(s / std::max<int64_t>(1, n)));
  return mean;
}

TEST(PoolHidden, AgreesWithLoopsForEveryMixtureOfTypes) {
  NumpyRandomState random(3);
  for (int round = 0; round < 30; ++round) {
    const int64_t batch = 4, length = random.RandInt(3, 12), d = 5;
    std::vector<uint8_t> types;
    for (int64_t b = 0; b < batch; ++b) {
      const int64_t kinds = b == 0 ? 9 : b == 1 ? 5 : b == 2 ? 1 : 9;  // all, legacy, special only
      for (int64_t t = 0; t < length; ++t) types.push_back(static_cast<uint8_t>(random.RandInt(0, kinds)));
    }
    const at::Tensor type = TypeTensor(types.data(), batch, length);
    const Hidden hidden = {{}, at::randn({batch, length, d}), at::randn({batch, length, d})};
    const at::Tensor answers = PoolHidden(hidden, type, Pooling::kMeanAnswers);
    const at::Tensor predicted = PoolHidden(hidden, type, Pooling::kMeanPredicted);
    const at::Tensor last = PoolHidden(hidden, type, Pooling::kEos);
    for (int64_t b = 0; b < batch; ++b) {
      const std::vector<float> a = ByHand(hidden.h, types, b, false),
                               p = ByHand(hidden.z_hat, types, b, true);
      for (int64_t k = 0; k < d; ++k) {
        EXPECT_NEAR(answers[b][k].item<float>(), a[k], 1e-5) << "sequence " << b;
        EXPECT_NEAR(predicted[b][k].item<float>(), p[k], 1e-5) << "sequence " << b;
        EXPECT_EQ(last[b][k].item<float>(), hidden.h[b][length - 1][k].item<float>());
      }
    }
  }
}

TEST(NormalizeRows, UnitLengthButZeroStaysZero) {
  at::Tensor rows = at::randn({6, 4}) * 100;
  rows[2].zero_();
  const at::Tensor unit = NormalizeRows(rows);
  for (int64_t i = 0; i < 6; ++i)
    EXPECT_NEAR(at::linalg_vector_norm(unit[i], 2).item<float>(), i == 2 ? 0.0f : 1.0f, 1e-6);
  EXPECT_TRUE(at::isfinite(unit).all().item<bool>());
}

TEST(ParsePooling, KnowsThreeNames) {
  EXPECT_EQ(*ParsePooling("eos"), Pooling::kEos);
  EXPECT_EQ(*ParsePooling("mean_a"), Pooling::kMeanAnswers);
  EXPECT_EQ(*ParsePooling("mean_zhat"), Pooling::kMeanPredicted);
  EXPECT_EQ(ParsePooling("max").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace manyform

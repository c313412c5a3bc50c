#include "model/attention.h"

#include <ATen/ATen.h>

#include <cmath>
#include <functional>
#include <vector>

#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr int64_t kBatch = 2, kLength = 7, kWidth = 12, kHeads = 3;

at::Tensor Random(at::IntArrayRef shape, int64_t seed) {
  at::manual_seed(static_cast<uint64_t>(seed));
  return at::randn(shape, at::kDouble);
}

AttentionWeights RandomWeights() {
  return {Random({3 * kWidth, kWidth}, 1), Random({3 * kWidth}, 2), Random({kWidth, kWidth}, 3),
          Random({kWidth}, 4)};
}

using MayAttend = std::function<bool(int64_t b, int64_t i, int64_t j)>;

// The definition, one number at a time.
at::Tensor Mixed(const AttentionWeights& weights, const at::Tensor& x, const at::Tensor& memory,
                 const MayAttend& may) {
  const int64_t head = kWidth / kHeads;
  const auto project = [&](const at::Tensor& in, int64_t part) {
    return at::matmul(in, weights.in_w.slice(0, part * kWidth, (part + 1) * kWidth).t()) +
           weights.in_b.slice(0, part * kWidth, (part + 1) * kWidth);
  };
  const at::Tensor queries = project(x, 0), keys = project(memory, 1), values = project(memory, 2);
  const auto q = queries.accessor<double, 3>(), k = keys.accessor<double, 3>(),
             v = values.accessor<double, 3>();
  at::Tensor out = at::zeros({kBatch, x.size(1), kWidth}, at::kDouble);
  auto o = out.accessor<double, 3>();
  for (int64_t b = 0; b < kBatch; ++b)
    for (int64_t h = 0; h < kHeads; ++h)
      for (int64_t i = 0; i < x.size(1); ++i) {
        double total = 0;
        for (int64_t j = 0; j < memory.size(1); ++j) {
          if (!may(b, i, j)) continue;
          double score = 0;
          for (int64_t c = h * head; c < (h + 1) * head; ++c) score += q[b][i][c] * k[b][j][c];
          const double weight = std::exp(score / std::sqrt(static_cast<double>(head)));
          total += weight;
          for (int64_t c = h * head; c < (h + 1) * head; ++c) o[b][i][c] += weight * v[b][j][c];
        }
        for (int64_t c = h * head; c < (h + 1) * head; ++c) o[b][i][c] /= total;
      }
  return out;
}

double Difference(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST(AttentionTest, EveryMaskIsItsDefinition) {
  const AttentionWeights weights = RandomWeights();
  const at::Tensor x = Random({kBatch, kLength, kWidth}, 5);
  at::Tensor shared = Random({kLength, kLength}, 6).gt(0.5),
             own = Random({kBatch, kLength, kLength}, 7).gt(0.5);
  shared.diagonal().fill_(false);
  own.diagonal(0, 1, 2).fill_(false);
  const auto s = shared.accessor<bool, 2>();
  const auto e = own.accessor<bool, 3>();
  struct Case {
    AttentionMask mask;
    MayAttend may;
  };
  for (const Case& c :
       {Case{{}, [](int64_t, int64_t, int64_t) { return true; }},
        Case{{.causal = true}, [](int64_t, int64_t i, int64_t j) { return j <= i; }},
        Case{{.blocked = shared}, [&](int64_t, int64_t i, int64_t j) { return !s[i][j]; }},
        Case{{.blocked = own}, [&](int64_t b, int64_t i, int64_t j) { return !e[b][i][j]; }},
        Case{{.causal = true, .blocked = shared}, [&](int64_t, int64_t i, int64_t j) { return !s[i][j]; }}})
    EXPECT_LT(Difference(SelfAttention(weights, x, kHeads, c.mask), Mixed(weights, x, x, c.may)), 1e-12);
}

TEST(AttentionTest, CrossAttentionSeesAllOfTheMemory) {
  const AttentionWeights weights = RandomWeights();
  const at::Tensor x = Random({kBatch, kLength, kWidth}, 8), memory = Random({kBatch, 4, kWidth}, 9);
  EXPECT_LT(Difference(CrossAttention(weights, x, memory, kHeads),
                       Mixed(weights, x, memory, [](int64_t, int64_t, int64_t) { return true; })),
            1e-12);
}

}  // namespace
}  // namespace manyform

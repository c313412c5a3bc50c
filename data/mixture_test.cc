#include "data/mixture.h"

#include <cmath>
#include <numeric>
#include <set>

#include "absl/strings/str_cat.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(Mixture, StreamsAreThePublishedOnes) {
  const GoldenNpz arrays("d_splits/mixture.npz");
  const nlohmann::json cases = GoldenJson("d_splits/mixture.json")["cases"];
  for (const nlohmann::json& c : cases) {
    const std::vector<int64_t> sizes = c["sizes"];
    for (int epoch = 0; epoch < 3; ++epoch) {
      const std::vector<Draw> draws = OrThrow(MixtureDraws(
          sizes, c["weights"], c["num_samples"], c["replacement"], c["mix_seed"].get<int64_t>(), epoch));
      std::vector<int64_t> numbers;
      numbers.reserve(draws.size());
      for (const Draw& d : draws) {
        numbers.push_back(std::accumulate(sizes.begin(), sizes.begin() + d.dataset, d.shape));
      }
      EXPECT_EQ(numbers, arrays.Get<int64_t>(absl::StrCat(c["key"].get<std::string>(), "_epoch", epoch)));
    }
  }
}

TEST(Mixture, DefaultIsAsManyDrawsAsShapes) {
  EXPECT_EQ(OrThrow(MixtureDraws({3, 4}, {1, 1}, 0, true, 0, 0)).size(), 7u);
  std::set<std::pair<int32_t, int64_t>> all;
  for (const Draw& d : OrThrow(MixtureDraws({3, 4}, {1, 1}, 0, false, 0, 0)))
    all.insert({d.dataset, d.shape});
  EXPECT_EQ(all.size(), 7u);
}

TEST(Mixture, NegativeWeightsCountAsNothing) {
  for (const Draw& d : OrThrow(MixtureDraws({3, 4, 5}, {-2, 1, 0}, 100, true, 1, 0))) EXPECT_EQ(d.dataset, 1);
}

TEST(Mixture, WhatCannotBeDrawnIsAnError) {
  const auto code = [](auto... args) { return MixtureDraws(args...).status().code(); };
  using V = std::vector<int64_t>;
  using W = std::vector<double>;
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code(V{}, W{}, 1, true, 0, 0), kInvalid);
  EXPECT_EQ(code(V{3}, W{1, 1}, 1, true, 0, 0), kInvalid);
  EXPECT_EQ(code(V{3, 0}, W{1, 1}, 1, true, 0, 0), kInvalid);
  EXPECT_EQ(code(V{3, 1}, W{0, -1}, 1, true, 0, 0), kInvalid);
  EXPECT_EQ(code(V{3, 1}, W{std::nan(""), 1}, 1, true, 0, 0), kInvalid);
  EXPECT_EQ(code(V{3, 1}, W{INFINITY, 1}, 1, true, 0, 0), kInvalid);
  EXPECT_EQ(code(V{3, 1}, W{1, 1}, 5, false, 0, 0), kInvalid);
}

}  // namespace
}  // namespace manyform

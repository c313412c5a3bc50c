#include "eval/completion_sample.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "geometry/grid.h"
#include "geometry/ordering.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

/// A pool of n random points whose distances tell them apart, and a grid of side g.
struct Shape {
  std::vector<float> xyz, distance, target, grid;
  int g;
  Pools pools;

  Shape(int64_t n, int side, uint32_t seed) : g(side) {
    NumpyRandomState random(seed);
    for (int64_t i = 0; i < 3 * n; ++i) xyz.push_back(static_cast<float>(random.Uniform(-1, 1)));
    for (int64_t i = 0; i < n; ++i) {
      distance.push_back(static_cast<float>(i));
      target.push_back(static_cast<float>(1000 + i));
    }
    for (int i = 0; i < side * side * side; ++i) grid.push_back(static_cast<float>(random.Double()));
    new (&pools.xyz) PointsFMap(xyz.data(), n, 3);
    pools.distance = distance;
  }
  CompletionTarget Target() const { return {target, grid, g}; }
};

bool InMortonOrder(const PointsF& points) {
  const std::vector<uint32_t> codes = MortonCodes(points);
  return std::is_sorted(codes.begin(), codes.end());
}

CompletionSample Draw(const Shape& shape, const CompletionOptions& options, uint32_t seed) {
  NumpyRandomState random(seed);
  auto sample = DrawCompletion(shape.pools, nullptr, shape.Target(), options, random);
  EXPECT_TRUE(sample.ok()) << sample.status();
  return *std::move(sample);
}

// Whatever the options: points keep their own distances, come by Morton code, and are who was drawn.
void CheckPool(const Shape& shape, const CompletionSample& sample) {
  EXPECT_TRUE(InMortonOrder(sample.context_xyz));
  EXPECT_TRUE(InMortonOrder(sample.query_xyz));
  std::multiset<int64_t> context;
  for (int64_t i = 0; i < sample.context_xyz.rows(); ++i) {
    const auto index = static_cast<int64_t>(sample.context_distance[i]);
    EXPECT_EQ(sample.context_xyz.row(i), shape.pools.xyz.row(index));
    context.insert(index);
  }
  EXPECT_EQ(context, std::multiset<int64_t>(sample.context_indices.begin(), sample.context_indices.end()));
}

TEST(DrawCompletion, DisjointPoolQueries) {
  const Shape shape(100, 2, 1);
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const CompletionSample sample = Draw(shape, {.n_context = 30, .n_query = 60}, seed);
    CheckPool(shape, sample);
    std::set<int64_t> all(sample.context_indices.begin(), sample.context_indices.end());
    all.insert(sample.query_indices.begin(), sample.query_indices.end());
    EXPECT_EQ(all.size(), 90);
    for (int64_t i = 0; i < 60; ++i) {
      const auto index = static_cast<int64_t>(sample.query_distance[i]) - 1000;
      EXPECT_EQ(sample.query_xyz.row(i), shape.pools.xyz.row(index));
    }
  }
}

TEST(DrawCompletion, OverlapAndRepetitionWhereTheyAreAskedForOrNeeded) {
  const Shape shape(100, 2, 2);
  const CompletionSample apart = Draw(shape, {.n_context = 70, .n_query = 70, .disjoint = false}, 3);
  EXPECT_EQ(std::set<int64_t>(apart.context_indices.begin(), apart.context_indices.end()).size(), 70);
  EXPECT_EQ(std::set<int64_t>(apart.query_indices.begin(), apart.query_indices.end()).size(), 70);
  const CompletionSample more = Draw(shape, {.n_context = 90, .n_query = 60}, 3);
  CheckPool(shape, more);
  EXPECT_EQ(more.context_indices.size() + more.query_indices.size(), 150) << "drawn with replacement";
}

TEST(DrawCompletion, GridQueriesAreVoxelCentres) {
  const Shape shape(50, 6, 4);
  const PointsF centres = GridCentres(6);
  const CompletionSample sample = Draw(shape, {.n_context = 20, .n_query = 1000, .pool_fraction = 0}, 5);
  CheckPool(shape, sample);
  ASSERT_EQ(sample.query_xyz.rows(), 216) << "no more than there are voxels";
  for (size_t i = 0; i < sample.query_indices.size(); ++i) {
    const std::vector<int64_t> one = {sample.query_indices[i]};
    EXPECT_EQ(VoxelCentres(one, 6).row(0), centres.row(sample.query_indices[i]));
  }
  std::multiset<float> asked(sample.query_distance.begin(), sample.query_distance.end());
  EXPECT_EQ(asked, std::multiset<float>(shape.grid.begin(), shape.grid.end()));
}

TEST(DrawCompletion, HybridAsksPoolAndGrid) {
  const Shape shape(100, 6, 21);
  for (const double fraction : {0.1, 0.5, 0.9}) {
    const CompletionOptions options = {.n_context = 20, .n_query = 25, .pool_fraction = fraction};
    const CompletionSample sample = Draw(shape, options, 22);
    CheckPool(shape, sample);
    ASSERT_EQ(sample.query_xyz.rows(), 25);
    // Pool targets are 1000 and up, the grid's below 1.
    const auto pool = std::count_if(sample.query_distance.begin(), sample.query_distance.end(),
                                    [](float d) { return d >= 1000; });
    EXPECT_EQ(pool, std::llrint(fraction * 25));
    EXPECT_EQ(pool, options.PoolQueries());
    for (int64_t i = 0; i < pool; ++i) {
      for (const int64_t told : sample.context_indices) EXPECT_NE(sample.query_indices[i], told);
    }
  }
}

TEST(DrawCompletion, NothingToldLeavesTheSameQueriesAsOverlap) {
  const Shape shape(100, 6, 23);
  CompletionOptions options = {.n_context = 30, .n_query = 25, .disjoint = false};
  const CompletionSample normal = Draw(shape, options, 24);
  for (const bool disjoint : {false, true}) {
    options.disjoint = disjoint;
    options.context_mode = ContextMode::kNone;
    const CompletionSample none = Draw(shape, options, 24);
    EXPECT_EQ(none.context_xyz.rows(), 0);
    EXPECT_TRUE(none.context_distance.empty());
    EXPECT_EQ(none.query_indices, normal.query_indices) << "the context is drawn all the same";
    EXPECT_EQ(none.query_distance, normal.query_distance);
  }
}

TEST(DrawCompletion, AnothersContextComesFromItsPool) {
  const Shape shape(100, 6, 25), other(60, 6, 26);
  NumpyRandomState random(27);
  const CompletionOptions options = {
      .n_context = 30, .n_query = 25, .context_mode = ContextMode::kMismatch, .pool_fraction = 0.4};
  const CompletionSample sample = *DrawCompletion(shape.pools, &other.pools, shape.Target(), options, random);
  CheckPool(other, sample);
  for (int64_t i = 0; i < 10; ++i) EXPECT_LT(sample.query_indices[i], 100);
  EXPECT_EQ(sample.query_xyz.rows(), 25);
  EXPECT_FALSE(DrawCompletion(shape.pools, nullptr, shape.Target(), options, random).ok());
}

TEST(DrawCompletion, RefusesWhatDoesNotFit) {
  const Shape shape(50, 3, 9);
  NumpyRandomState random(1);
  const auto code = [&](const Pools& pools, const CompletionTarget& target, bool grid) {
    const CompletionOptions options = {.n_context = 5, .n_query = 5, .pool_fraction = grid ? 0.0 : 1.0};
    return DrawCompletion(pools, nullptr, target, options, random).status().code();
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code(shape.pools, {std::span(shape.target).first(49), {}, 0}, false), kInvalid);
  EXPECT_EQ(code(shape.pools, {{}, std::span(shape.grid).first(26), 3}, true), kInvalid);
  EXPECT_EQ(code(shape.pools, {{}, {}, 0}, true), kInvalid);
  EXPECT_EQ(code(Pools(), shape.Target(), true), kInvalid);
  EXPECT_EQ(code(shape.pools, shape.Target(), true), absl::StatusCode::kOk);
}

TEST(WriteCompletionTokens, QueriesStandWhereTheyAreReadAndTellNothing) {
  const Shape shape(60, 2, 10);
  const CompletionSample sample = Draw(shape, {.n_context = 12, .n_query = 9}, 11);
  for (const bool qa : {false, true}) {
    for (const QaLayout order : {QaLayout::kInterleave, QaLayout::kSplit}) {
      const LayoutOptions layout = {.qa_tokens = qa, .qa_layout = order, .add_eos = true};
      const int64_t length = SequenceLength(21, 0, layout);
      std::vector<float> feat(length * kFeatures);
      std::vector<uint8_t> type(length);
      WriteCompletionTokens(sample.context_xyz, sample.context_distance, sample.query_xyz, layout, feat,
                            type);
      const std::vector<int64_t> positions = QueryTokenPositions(12, 9, layout);
      for (int64_t i = 0; i < 9; ++i) {
        const float* token = feat.data() + positions[i] * kFeatures;
        EXPECT_EQ(type[positions[i]], qa ? kQueryPoint : kPoint);
        for (int k = 0; k < 3; ++k) EXPECT_EQ(token[k], sample.query_xyz(i, k));
      }
      // Every distance in the sequence is the context's.
      std::multiset<float> told;
      for (int64_t t = 0; t < length; ++t)
        if (feat[t * kFeatures + 10] != 0) told.insert(feat[t * kFeatures + 10]);
      std::multiset<float> known(sample.context_distance.begin(), sample.context_distance.end());
      known.erase(0.0f);
      EXPECT_EQ(told, known);
      EXPECT_EQ(type.front(), kBos);
      EXPECT_EQ(type.back(), kEos);
    }
  }
}

TEST(CopyNearest, AgreesWithBruteForce) {
  const Shape shape(300, 2, 12);
  const CompletionSample sample = Draw(shape, {.n_context = 100, .n_query = 200}, 13);
  const auto copied = CopyNearest(sample.context_xyz, sample.context_distance, sample.query_xyz);
  ASSERT_TRUE(copied.ok());
  for (int64_t q = 0; q < 200; ++q) {
    double best = std::numeric_limits<double>::infinity();
    float value = -1;
    for (int64_t c = 0; c < 100; ++c) {
      const double d =
          (sample.context_xyz.row(c).cast<double>() - sample.query_xyz.row(q).cast<double>()).squaredNorm();
      if (d < best) best = d, value = sample.context_distance[c];
    }
    EXPECT_EQ((*copied)[q], value);
  }
  EXPECT_EQ(*CopyNearest(PointsF(0, 3), {}, sample.query_xyz), std::vector<float>(200, 0.0f));
}

}  // namespace
}  // namespace manyform

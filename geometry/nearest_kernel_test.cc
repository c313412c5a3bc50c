#include "geometry/nearest_kernel.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <vector>

#include "base/numpy_random.h"
#include "geometry/testing/kernels.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr int kLeaves = 48, kPoints = kLeaves * kNearestLanes;

// Points in slabs along x, one leaf a slab, under one level of boxes.
struct Slabs {
  explicit Slabs(float width) : leaves(kLeaves), groups(kLeaves / kNearestLanes) {
    NumpyRandomState random(3);
    for (int i = 0; i < kPoints; ++i) {
      const int leaf = i / kNearestLanes, lane = i % kNearestLanes;
      leaves[leaf].index[lane] = i;
      for (int k = 0; k < 3; ++k) {
        const double place = random.Uniform(0, 1) * width;
        leaves[leaf].xyz[k][lane] = static_cast<float>(k == 0 ? leaf * width + place : place);
      }
    }
    for (int leaf = 0; leaf < kLeaves; ++leaf) {
      BoxGroup& group = groups[leaf / kNearestLanes];
      for (int k = 0; k < 3; ++k) {
        const auto [low, high] =
            std::minmax_element(leaves[leaf].xyz[k], leaves[leaf].xyz[k] + kNearestLanes);
        group.low[k][leaf % kNearestLanes] = *low;
        group.high[k][leaf % kNearestLanes] = *high;
      }
    }
    tree.level[0] = groups.data();
    tree.num_levels = 1;
    tree.top_groups = static_cast<int32_t>(groups.size());
    tree.leaves = leaves.data();
  }
  double SquaredDistance(const QueryChunk& chunk, int query, int point) const {
    double sum = 0;
    for (int k = 0; k < 3; ++k) {
      const double gap = static_cast<double>(chunk.xyz[k][query]) -
                         leaves[point / kNearestLanes].xyz[k][point % kNearestLanes];
      sum += gap * gap;
    }
    return sum;
  }
  std::vector<PointLeaf> leaves;
  std::vector<BoxGroup> groups;
  NearestTree tree;
};

QueryChunk RandomQueries(double reach) {
  NumpyRandomState random(4);
  QueryChunk chunk{.count = QueryChunk::kSize};
  for (int q = 0; q < chunk.count; ++q) {
    for (auto& axis : chunk.xyz) axis[q] = static_cast<float>(random.Uniform(-reach, reach));
  }
  return chunk;
}

using Kernels = KernelTest<NearestCandidates>;

TEST_P(Kernels, TheNearestIsAmongFewCandidates) {
  const Slabs slabs(0.1f);
  for (const double reach : {0.2, 6.0, 100.0}) {
    QueryChunk chunk = RandomQueries(reach);
    const auto lists = std::make_unique<PairLists>();
    const int32_t pairs = kernel()(slabs.tree, &chunk, lists.get());
    ASSERT_GE(pairs, chunk.count);
    EXPECT_LT(pairs, 2 * chunk.count);
    EXPECT_TRUE(std::is_sorted(lists->query[0], lists->query[0] + pairs));
    for (int q = 0; q < chunk.count; ++q) {
      double nearest = std::numeric_limits<double>::infinity(), offered = nearest;
      for (int p = 0; p < kPoints; ++p) nearest = std::min(nearest, slabs.SquaredDistance(chunk, q, p));
      for (int32_t i = 0; i < pairs; ++i) {
        if (lists->query[0][i] != q) continue;
        offered = std::min(offered, slabs.SquaredDistance(chunk, q, lists->item[0][i]));
      }
      EXPECT_EQ(offered, nearest) << q;
    }
  }
}

TEST_P(Kernels, EveryTieIsACandidateOrThereAreTooMany) {
  const Slabs slabs(0);
  const auto lists = std::make_unique<PairLists>();
  QueryChunk one = RandomQueries(1);
  one.count = 1;
  EXPECT_EQ(kernel()(slabs.tree, &one, lists.get()), kPoints);
  QueryChunk chunk = RandomQueries(1);
  EXPECT_EQ(kernel()(slabs.tree, &chunk, lists.get()), -1);
}

INSTANTIATE_TEST_SUITE_P(All, Kernels,
                         EachKernel(&NearestCandidatesPortable, &NearestCandidatesAvx2,
                                    &NearestCandidatesAvx512),
                         KernelName<Kernels::ParamType>);

}  // namespace
}  // namespace manyform

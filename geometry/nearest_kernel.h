/// \file
/// The inner loops of NearestPoints, compiled for each set of instructions. Single precision
/// bounds which points can be nearest; what is nearest the caller decides in double.
#pragma once

#include <cstdint>

namespace manyform {

inline constexpr int kNearestLanes = 16;
/// Bounds formed in single precision are good to a few roundings; this is many.
inline constexpr float kNearestSlack = 1e-5f;
/// How far (squared) to look when a point was found at this squared distance; ties included.
inline float NearestReach(float squared) { return squared * (1 + kNearestSlack) + 1.1754944e-38f; }

/// Sixteen boxes, lane by lane; an absent one is inside out and infinitely far.
struct alignas(64) BoxGroup {
  float low[3][kNearestLanes], high[3][kNearestLanes];
};
/// Sixteen points; an absent one is infinitely far.
struct alignas(64) PointLeaf {
  float xyz[3][kNearestLanes];
  int32_t index[kNearestLanes];
};
/// A tree without pointers: lane k of group i at level l is the box of group 16 i + k at level l - 1, or of
/// leaf 16 i + k at level 0.
struct NearestTree {
  static constexpr int kMaxLevels = 8;
  const BoxGroup* level[kMaxLevels];
  int num_levels;
  int32_t top_groups;  ///< groups at the last level, all looked at
  const PointLeaf* leaves;
};

/// Finite queries that are looked up together, neighbours best.
struct QueryChunk {
  static constexpr int kSize = 64;
  float xyz[3][kSize];
  float reach[kSize];
  int count;
};
/// Pairs of a query's place in its chunk and a group, leaf or point; two of them, to write one from the
/// other.
struct PairLists {
  static constexpr int32_t kCapacity = 1 << 14;
  int32_t query[2][kCapacity], item[2][kCapacity];
};

/// Leaves in lists->query[0] and item[0] the pairs of queries and points among which each query's nearest
/// point is, by query, and returns their number; -1 if there are too many. \pre every coordinate's square is
/// finite
using NearestCandidates = int32_t(const NearestTree& tree, QueryChunk* chunk, PairLists* lists);
NearestCandidates NearestCandidatesPortable;
NearestCandidates NearestCandidatesAvx2;
NearestCandidates NearestCandidatesAvx512;

}  // namespace manyform

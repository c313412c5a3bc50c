// Compiled twice, see kernel_library in kernels.bzl. Nothing from the standard library is used: an inline
// function compiled here for AVX-512 could become the one copy the whole program is linked with.
#include "geometry/nearest_kernel.h"

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace manyform {
namespace {

typedef float Lanes __attribute__((vector_size(64), may_alias));

struct Query {
  Lanes xyz[3];
  Lanes reach;
};

inline Query Load(const QueryChunk& chunk, int q) {
  const Lanes zero = {};
  return {{zero + chunk.xyz[0][q], zero + chunk.xyz[1][q], zero + chunk.xyz[2][q]}, zero + chunk.reach[q]};
}

inline Lanes LoadLanes(const float* from) { return *reinterpret_cast<const Lanes*>(from); }

#ifdef __AVX512F__
inline Lanes Larger(Lanes a, Lanes b) { return _mm512_max_ps(a, b); }
inline Lanes AddSquare(Lanes sum, Lanes x) { return _mm512_fmadd_ps(x, x, sum); }
#else
inline Lanes Larger(Lanes a, Lanes b) { return a > b ? a : b; }
inline Lanes AddSquare(Lanes sum, Lanes x) { return sum + x * x; }
#endif

inline Lanes DistancesTo(const BoxGroup& boxes, const Query& q) {
  Lanes sum = {};
  for (int k = 0; k < 3; ++k) {
    const Lanes gap =
        Larger(Larger(LoadLanes(boxes.low[k]) - q.xyz[k], q.xyz[k] - LoadLanes(boxes.high[k])), Lanes{});
    sum = AddSquare(sum, gap);
  }
  return sum;
}

inline Lanes DistancesTo(const PointLeaf& points, const Query& q) {
  Lanes sum = {};
  for (int k = 0; k < 3; ++k) {
    const Lanes gap = LoadLanes(points.xyz[k]) - q.xyz[k];
    sum = AddSquare(sum, gap);
  }
  return sum;
}

#ifdef __AVX512F__
inline float Least(Lanes d) { return _mm512_reduce_min_ps(d); }

inline int FirstAtMost(Lanes d, float limit) {
  return __builtin_ctz(_mm512_cmp_ps_mask(d, _mm512_set1_ps(limit), _CMP_LE_OQ) | 1u << (kNearestLanes - 1));
}

// Appends the items of lanes within reach; up to fifteen more places are overwritten.
inline int32_t Append(Lanes d, Lanes reach, __m512i items, int query, int32_t* queries, int32_t* out,
                      int32_t n) {
  const __mmask16 within = _mm512_cmp_ps_mask(d, reach, _CMP_LE_OQ);
  _mm512_storeu_si512(out + n, _mm512_maskz_compress_epi32(within, items));
  _mm512_storeu_si512(queries + n, _mm512_set1_epi32(query));
  return n + __builtin_popcount(within);
}

inline __m512i LaneItems(int32_t first) {
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  return _mm512_add_epi32(lane, _mm512_set1_epi32(first));
}
inline __m512i LoadItems(const int32_t* items) { return _mm512_load_si512(items); }
#else
typedef int32_t Items __attribute__((vector_size(64), may_alias));

inline float Least(Lanes d) {
  float least = d[0];
  for (int k = 1; k < kNearestLanes; ++k) least = d[k] < least ? d[k] : least;
  return least;
}

inline int FirstAtMost(Lanes d, float limit) {
  int k = 0;
  while (k < kNearestLanes - 1 && !(d[k] <= limit)) ++k;
  return k;
}

inline int32_t Append(Lanes d, Lanes reach, Items items, int query, int32_t* queries, int32_t* out,
                      int32_t n) {
  for (int k = 0; k < kNearestLanes; ++k) {
    queries[n] = query;
    out[n] = items[k];
    n += d[k] <= reach[k];
  }
  return n;
}

inline Items LaneItems(int32_t first) {
  return Items{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} + first;
}
inline Items LoadItems(const int32_t* items) { return *reinterpret_cast<const Items*>(items); }
#endif

// Of the leaf one reaches by always entering the nearest box, the nearest point.
float Guess(const NearestTree& tree, const Query& q) {
  const BoxGroup* top = tree.level[tree.num_levels - 1];
  int32_t item = 0;
  float least = __builtin_inff();
  for (int32_t g = 0; g < tree.top_groups; ++g) {
    const Lanes d = DistancesTo(top[g], q);
    const float here = Least(d);
    const int32_t lane = g * kNearestLanes + FirstAtMost(d, here);
    item = here < least ? lane : item;
    least = here < least ? here : least;
  }
  for (int level = tree.num_levels - 2; level >= 0; --level) {
    const Lanes d = DistancesTo(tree.level[level][item], q);
    item = item * kNearestLanes + FirstAtMost(d, Least(d));
  }
  return Least(DistancesTo(tree.leaves[item], q));
}

}  // namespace

int32_t MF_NEAREST_KERNEL(const NearestTree& tree, QueryChunk* chunk, PairLists* lists) {
  constexpr int32_t kFull = PairLists::kCapacity - kNearestLanes;
  for (int q = 0; q < chunk->count; ++q) chunk->reach[q] = NearestReach(Guess(tree, Load(*chunk, q)));
  int32_t *queries = lists->query[0], *items = lists->item[0];
  int32_t *next_queries = lists->query[1], *next_items = lists->item[1];
  if (tree.top_groups * chunk->count > kFull) return -1;
  int32_t n = 0;
  for (int q = 0; q < chunk->count; ++q) {
    for (int32_t g = 0; g < tree.top_groups; ++g) {
      queries[n] = q;
      items[n++] = g;
    }
  }
  // No branch depends on a distance: pairs are written whether they count or not.
  for (int level = tree.num_levels - 1; level >= 0; --level) {
    int32_t found = 0;
    for (int32_t i = 0; i < n; ++i) {
      if (found > kFull) return -1;
      const Query q = Load(*chunk, queries[i]);
      found = Append(DistancesTo(tree.level[level][items[i]], q), q.reach,
                     LaneItems(items[i] * kNearestLanes), queries[i], next_queries, next_items, found);
    }
    int32_t* const free_queries = queries;
    int32_t* const free_items = items;
    queries = next_queries, items = next_items, n = found;
    next_queries = free_queries, next_items = free_items;
  }
  // The leaves first tighten the bounds, so that few points are left to measure.
  for (int32_t i = 0; i < n; ++i) {
    const float reach = NearestReach(Least(DistancesTo(tree.leaves[items[i]], Load(*chunk, queries[i]))));
    float& bound = chunk->reach[queries[i]];
    bound = reach < bound ? reach : bound;
  }
  int32_t found = 0;
  for (int32_t i = 0; i < n; ++i) {
    if (found > kFull) return -1;
    const PointLeaf& leaf = tree.leaves[items[i]];
    const Query q = Load(*chunk, queries[i]);
    found = Append(DistancesTo(leaf, q), q.reach, LoadItems(leaf.index), queries[i], next_queries, next_items,
                   found);
  }
  if (next_queries == lists->query[0]) return found;
  for (int32_t i = 0; i < found; ++i) {
    lists->query[0][i] = next_queries[i];
    lists->item[0][i] = next_items[i];
  }
  return found;
}

}  // namespace manyform

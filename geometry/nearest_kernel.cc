// Compiled for each set of instructions, see kernel_library in kernels.bzl. Nothing from the standard library
// is used: an inline function compiled here for AVX-512 could become the one copy the whole program is linked
// with.
#include "geometry/nearest_kernel.h"

#include <immintrin.h>

namespace manyform {
namespace {

typedef float Vector __attribute__((vector_size(MF_VECTOR_BYTES), may_alias));
constexpr int kWidth = MF_VECTOR_BYTES / 4, kParts = kNearestLanes / kWidth;

// One number for each of sixteen boxes or points.
struct Lanes {
  Vector part[kParts];
};

struct Query {
  Vector xyz[3];
  Vector reach;
};

inline Query Load(const QueryChunk& chunk, int q) {
  const Vector zero = {};
  return {{zero + chunk.xyz[0][q], zero + chunk.xyz[1][q], zero + chunk.xyz[2][q]}, zero + chunk.reach[q]};
}

inline Vector LoadPart(const float* lanes, int part) { return reinterpret_cast<const Vector*>(lanes)[part]; }

#if defined(__AVX512F__)
inline Vector Larger(Vector a, Vector b) { return _mm512_max_ps(a, b); }
inline Vector AddSquare(Vector sum, Vector x) { return _mm512_fmadd_ps(x, x, sum); }
#elif defined(__AVX2__)
inline Vector Larger(Vector a, Vector b) { return _mm256_max_ps(a, b); }
inline Vector AddSquare(Vector sum, Vector x) { return _mm256_fmadd_ps(x, x, sum); }
#else
inline Vector Larger(Vector a, Vector b) { return _mm_max_ps(a, b); }
inline Vector AddSquare(Vector sum, Vector x) { return sum + x * x; }
#endif

inline Lanes DistancesTo(const BoxGroup& boxes, const Query& q) {
  Lanes sum = {};
  for (int p = 0; p < kParts; ++p) {
    for (int k = 0; k < 3; ++k) {
      const Vector gap = Larger(
          Larger(LoadPart(boxes.low[k], p) - q.xyz[k], q.xyz[k] - LoadPart(boxes.high[k], p)), Vector{});
      sum.part[p] = AddSquare(sum.part[p], gap);
    }
  }
  return sum;
}

inline Lanes DistancesTo(const PointLeaf& points, const Query& q) {
  Lanes sum = {};
  for (int p = 0; p < kParts; ++p) {
    for (int k = 0; k < 3; ++k) {
      const Vector gap = LoadPart(points.xyz[k], p) - q.xyz[k];
      sum.part[p] = AddSquare(sum.part[p], gap);
    }
  }
  return sum;
}

#if defined(__AVX512F__)
inline float Least(const Lanes& d) { return _mm512_reduce_min_ps(d.part[0]); }

// Bit k says that lane k is at most the limit.
inline unsigned AtMost(const Lanes& d, Vector limit) {
  return _mm512_cmp_ps_mask(d.part[0], limit, _CMP_LE_OQ);
}

typedef __m512i Items;
inline Items LaneItems(int32_t first) {
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  return _mm512_add_epi32(lane, _mm512_set1_epi32(first));
}
inline Items LoadItems(const int32_t* items) { return _mm512_load_si512(items); }

// Appends the items of lanes within reach; up to fifteen more places are overwritten.
inline int32_t Append(unsigned within, const Items& items, int query, int32_t* queries, int32_t* out,
                      int32_t n) {
  _mm512_storeu_si512(out + n, _mm512_maskz_compress_epi32(static_cast<__mmask16>(within), items));
  _mm512_storeu_si512(queries + n, _mm512_set1_epi32(query));
  return n + __builtin_popcount(within);
}
#else
inline float LeastOfFour(__m128 v) {
  v = _mm_min_ps(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(_mm_min_ss(v, _mm_shuffle_ps(v, v, 1)));
}

#if defined(__AVX2__)
inline float Least(const Lanes& d) {
  const __m256 least = _mm256_min_ps(d.part[0], d.part[1]);
  return LeastOfFour(_mm_min_ps(_mm256_castps256_ps128(least), _mm256_extractf128_ps(least, 1)));
}

inline unsigned AtMost(const Lanes& d, Vector limit) {
  const int low = _mm256_movemask_ps(_mm256_cmp_ps(d.part[0], limit, _CMP_LE_OQ));
  const int high = _mm256_movemask_ps(_mm256_cmp_ps(d.part[1], limit, _CMP_LE_OQ));
  return static_cast<unsigned>(low | high << kWidth);
}

// Of each choice of eight lanes the lanes chosen, in their order, a byte each from the lowest on.
struct ChosenLanes {
  constexpr ChosenLanes() : of() {
    for (int choice = 0; choice < 256; ++choice) {
      for (int lane = 0, shift = 0; lane < 8; ++lane) {
        if ((choice >> lane & 1) == 0) continue;
        of[choice] |= static_cast<uint64_t>(lane) << shift;
        shift += 8;
      }
    }
  }
  uint64_t of[256];
};
constexpr ChosenLanes kChosenLanes;

struct Items {
  __m256i part[2];
};
inline Items LaneItems(int32_t first) {
  const __m256i lane = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  return {{_mm256_add_epi32(lane, _mm256_set1_epi32(first)),
           _mm256_add_epi32(lane, _mm256_set1_epi32(first + kWidth))}};
}
inline Items LoadItems(const int32_t* items) {
  const __m256i* const from = reinterpret_cast<const __m256i*>(items);
  return {{_mm256_load_si256(from), _mm256_load_si256(from + 1)}};
}

inline int32_t Append(unsigned within, const Items& items, int query, int32_t* queries, int32_t* out,
                      int32_t n) {
  for (int p = 0; p < 2; ++p, within >>= kWidth) {
    const unsigned choice = within & 0xffu;
    const __m256i lanes =
        _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(kChosenLanes.of[choice])));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + n),
                        _mm256_permutevar8x32_epi32(items.part[p], lanes));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(queries + n), _mm256_set1_epi32(query));
    n += __builtin_popcount(choice);
  }
  return n;
}
#else
inline float Least(const Lanes& d) {
  return LeastOfFour(_mm_min_ps(_mm_min_ps(d.part[0], d.part[1]), _mm_min_ps(d.part[2], d.part[3])));
}

inline unsigned AtMost(const Lanes& d, Vector limit) {
  unsigned within = 0;
  for (int p = 0; p < kParts; ++p) {
    within |= static_cast<unsigned>(_mm_movemask_ps(_mm_cmple_ps(d.part[p], limit))) << (p * kWidth);
  }
  return within;
}

struct Items {
  int32_t lane[kNearestLanes];
};
inline Items LaneItems(int32_t first) {
  Items items;
  for (int k = 0; k < kNearestLanes; ++k) items.lane[k] = first + k;
  return items;
}
inline Items LoadItems(const int32_t* from) {
  Items items;
  for (int k = 0; k < kNearestLanes; ++k) items.lane[k] = from[k];
  return items;
}

inline int32_t Append(unsigned within, const Items& items, int query, int32_t* queries, int32_t* out,
                      int32_t n) {
  for (; within != 0; within &= within - 1, ++n) {
    queries[n] = query;
    out[n] = items.lane[__builtin_ctz(within)];
  }
  return n;
}
#endif
#endif

inline int FirstAtMost(const Lanes& d, float limit) {
  return __builtin_ctz(AtMost(d, Vector{} + limit) | 1u << (kNearestLanes - 1));
}

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
  // With wide vectors no branch depends on a distance: pairs are written whether they count or not.
  for (int level = tree.num_levels - 1; level >= 0; --level) {
    int32_t found = 0;
    for (int32_t i = 0; i < n; ++i) {
      if (found > kFull) return -1;
      const Query q = Load(*chunk, queries[i]);
      const unsigned within = AtMost(DistancesTo(tree.level[level][items[i]], q), q.reach);
      found =
          Append(within, LaneItems(items[i] * kNearestLanes), queries[i], next_queries, next_items, found);
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
    found = Append(AtMost(DistancesTo(leaf, q), q.reach), LoadItems(leaf.index), queries[i], next_queries,
                   next_items, found);
  }
  if (next_queries == lists->query[0]) return found;
  for (int32_t i = 0; i < found; ++i) {
    lists->query[0][i] = next_queries[i];
    lists->item[0][i] = next_items[i];
  }
  return found;
}

}  // namespace manyform

// Compiled for each set of instructions, see kernel_library in kernels.bzl. Nothing from the standard library
// is used: an inline function compiled here for AVX-512 could become the one copy the whole program is linked
// with.
#include "geometry/distance_kernel.h"

#include <immintrin.h>

namespace manyform {
namespace {

constexpr int kLanes = MF_VECTOR_BYTES / 2;
typedef int16_t UnalignedShorts __attribute__((vector_size(MF_VECTOR_BYTES), may_alias, aligned(2)));
typedef int16_t Shorts __attribute__((vector_size(MF_VECTOR_BYTES), may_alias));

// Farther than anything in a grid; with a squared offset added it still fits 16 bits.
constexpr int16_t kFar = kShortZero + 3 * (kMaxShortSide - 1) * (kMaxShortSide - 1) + 1;

#if defined(__AVX512F__)
inline Shorts Least(Shorts a, Shorts b) {
  return reinterpret_cast<Shorts>(
      _mm512_min_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}
inline bool AnyAbove(Shorts v, int16_t limit) {
  return _mm512_cmpgt_epi16_mask(reinterpret_cast<__m512i>(v), _mm512_set1_epi16(limit)) != 0;
}
#elif defined(__AVX2__)
inline Shorts Least(Shorts a, Shorts b) {
  return reinterpret_cast<Shorts>(
      _mm256_min_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}
inline bool AnyAbove(Shorts v, int16_t limit) {
  return _mm256_movemask_epi8(_mm256_cmpgt_epi16(reinterpret_cast<__m256i>(v), _mm256_set1_epi16(limit))) !=
         0;
}
#else
inline Shorts Least(Shorts a, Shorts b) {
  return reinterpret_cast<Shorts>(_mm_min_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
}
inline bool AnyAbove(Shorts v, int16_t limit) {
  return _mm_movemask_epi8(_mm_cmpgt_epi16(reinterpret_cast<__m128i>(v), _mm_set1_epi16(limit))) != 0;
}
#endif

inline bool AnyBelow(Shorts v, int16_t limit) { return AnyAbove(~v, static_cast<int16_t>(~limit)); }
// The first `count` of kLanes cells.
inline void Store(const Shorts& v, int count, int16_t* to) {
  if (count == kLanes) {
    *reinterpret_cast<UnalignedShorts*>(to) = v;
  } else {
    for (int z = 0; z < count; ++z) to[z] = v[z];
  }
}
inline Shorts Load(const int16_t* from, int count) {
  if (count == kLanes) return *reinterpret_cast<const UnalignedShorts*>(from);
  Shorts v = Shorts{} + kFar;
  for (int z = 0; z < count; ++z) v[z] = from[z];
  return v;
}

inline int16_t Squared(int k) { return static_cast<int16_t>(k * k); }

// Squared distances along one line.
inline void NearestOnLine(const uint8_t* occupancy, int g, int16_t* out) {
  uint8_t any = 0;
  for (int z = 0; z < g; ++z) any |= occupancy[z];
  if (any == 0) {
    for (int z = 0; z < g; ++z) out[z] = kFar;
    return;
  }
  int near = kMaxShortSide;
  for (int z = 0; z < g; ++z) {
    near = occupancy[z] != 0 ? 0 : near + 1;
    out[z] = static_cast<int16_t>(near);
  }
  near = kMaxShortSide;
  for (int z = g - 1; z >= 0; --z) {
    near = out[z] < near + 1 ? out[z] : near + 1;
    out[z] = static_cast<int16_t>(kShortZero + near * near);
  }
}

// Rows of g cells, g of them `stride` apart: cell z of row i becomes the least of cell z of row j plus
// (i-j)^2, over j. kLanes z at a time, so that all rows of them lie in the first-level cache.
class Rows {
 public:
  void Nearest(int16_t* data, int64_t stride, int g, int count) {
    int filled = 0;
    for (int j = 0; j < g; ++j) {
      row_[j] = Load(data + j * stride, count);
      filled_[filled] = j;
      filled += AnyBelow(row_[j], kFar);
    }
    if (filled == 0) return;
    for (int i = 0, above = 0; i < g; ++i) {
      while (above < filled && filled_[above] < i) ++above;
      Store(2 * filled > g ? AmongAll(i, g) : AmongFilled(i, above, filled), count, data + i * stride);
    }
  }

 private:
  // Rows k away are of no use once everything is within k.
  static bool Useful(Shorts best, int k) {
    return AnyAbove(best, static_cast<int16_t>(kShortZero + Squared(k)));
  }
  Shorts AmongAll(int i, int g) const {
    Shorts best = row_[i];
    const int both = i < g - 1 - i ? i : g - 1 - i;
    int k = 1;
    for (; k <= both && Useful(best, k); ++k) {
      best = Least(best, Least(row_[i - k], row_[i + k]) + Squared(k));
    }
    if (k <= both) return best;
    const int last = g - 1 - both, towards = i < g - 1 - i ? 1 : -1;
    for (; k <= last && Useful(best, k); ++k) best = Least(best, row_[i + towards * k] + Squared(k));
    return best;
  }
  // Where most rows are far throughout; `above` is the first of the others that is not below i.
  Shorts AmongFilled(int i, int above, int filled) const {
    Shorts best = Shorts{} + kFar;
    int below = above - 1;
    while (below >= 0 || above < filled) {
      const int up = above < filled ? filled_[above] - i : kMaxShortSide;
      const int down = below >= 0 ? i - filled_[below] : kMaxShortSide;
      const int k = up < down ? up : down;
      if (!Useful(best, k)) break;
      // NOLINTNEXTLINE(clang-analyzer-security.ArrayBound): down is the larger where below is -1.
      const int j = up < down ? filled_[above++] : filled_[below--];
      best = Least(best, row_[j] + Squared(k));
    }
    return best;
  }

  Shorts row_[kMaxShortSide];
  int filled_[kMaxShortSide + 1];  // rows in which something is near
};

}  // namespace

void MF_DISTANCE_KERNEL(const uint8_t* occupancy, int g, int16_t* distances) {
  const int64_t side = g, plane = side * side;
  for (int64_t at = 0; at < side * plane; at += side) NearestOnLine(occupancy + at, g, distances + at);
  Rows rows;
  for (int z = 0; z < g; z += kLanes) {
    const int count = g - z < kLanes ? g - z : kLanes;
    for (int64_t x = 0; x < side; ++x) rows.Nearest(distances + x * plane + z, side, g, count);
    for (int64_t y = 0; y < side; ++y) rows.Nearest(distances + y * side + z, plane, g, count);
  }
}

}  // namespace manyform

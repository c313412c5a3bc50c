// Compiled for each set of instructions, see kernel_library in kernels.bzl. Nothing from the standard library
// is used: an inline function compiled here for AVX-512 could become the one copy the whole program is linked
// with.
#include "geometry/grid_walk_kernel.h"

#include <immintrin.h>

namespace manyform {
namespace {

constexpr int kLanes = MF_VECTOR_BYTES / 8, kRays = 16, kVectors = kRays / kLanes;

typedef double Doubles __attribute__((vector_size(MF_VECTOR_BYTES)));
typedef int64_t Longs __attribute__((vector_size(MF_VECTOR_BYTES)));
typedef float Floats __attribute__((vector_size(MF_VECTOR_BYTES / 2)));
typedef int32_t Ints __attribute__((vector_size(MF_VECTOR_BYTES / 2)));

inline Doubles ToDouble(Floats v) { return __builtin_convertvector(v, Doubles); }
inline Floats ToFloat(Doubles v) { return __builtin_convertvector(v, Floats); }

// As std::min and std::max choose, NaN included.
template <class V>
inline V Min(V a, V b) {
  return b < a ? b : a;
}
template <class V>
inline V Max(V a, V b) {
  return a < b ? b : a;
}
template <class V>
inline V Abs(V v) {
  return v < 0 ? -v : v;
}

// A vector of rays on their way: per axis the next wall crossing, the distance between crossings, and how the
// number of the cell changes.
struct Walks {
  Doubles next[3], delta[3];
  Longs stride[3];
  Longs cell;
  Doubles t, exit;
};

struct RaysIn {
  Floats o[3], d[3];
};

struct Crossing {
  Doubles entry, exit;
};

// Of the box [low, high], by slabs; the walls are single-precision numbers.
inline Crossing CrossBox(const RaysIn& rays, const Doubles* inverse, const float* low, const float* high) {
  Doubles entry = Doubles{} - __builtin_inf(), exit = Doubles{} + __builtin_inf();
  for (int k = 0; k < 3; ++k) {
    const Doubles a = ToDouble(low[k] - rays.o[k]) * inverse[k];
    const Doubles b = ToDouble(high[k] - rays.o[k]) * inverse[k];
    entry = Max(entry, Min(a, b));
    exit = Min(exit, Max(a, b));
  }
  return {Max(entry, Doubles{}), exit};
}

// The largest float not above x, for |x| below 2^31.
inline Floats Floor(Floats x) {
  const Floats whole = __builtin_convertvector(__builtin_convertvector(x, Ints), Floats);
  return whole > x ? whole - 1.0f : whole;
}

// CellIndex, lane by lane.
inline Ints Cells(Floats p, const WalkGridBits& grid) {
  Floats x = (p + 1.0f) / grid.voxel;
  // Written so that NaN goes to 0; what is far outside is cut off before it becomes an integer.
  x = x > 0 ? x : Floats{};
  const Floats last = Floats{} + static_cast<float>(grid.g - 1);
  return __builtin_convertvector(Floor(x < last ? x : last), Ints);
}

// Sets up as many walks, and says lane by lane whether the ray can meet an occupied cell.
inline Longs Start(const WalkGridBits& grid, const RaysIn& rays, Walks* walks) {
  constexpr float kCubeLow[3] = {-1, -1, -1}, kCubeHigh[3] = {1, 1, 1};
  Doubles inverse[3];
  for (int k = 0; k < 3; ++k) {
    Doubles along = ToDouble(rays.d[k]);
    along = Abs(along) < 1e-9 ? (along >= 0 ? Doubles{} + 1e-9 : Doubles{} - 1e-9) : along;
    inverse[k] = 1.0 / along;
  }
  const Crossing cube = CrossBox(rays, inverse, kCubeLow, kCubeHigh);
  const Crossing box = CrossBox(rays, inverse, grid.low, grid.high);
  const Floats entry = ToFloat(cube.entry);
  const int64_t side = grid.g + 1;
  const int64_t stride[3] = {side * side, side, 1};
  walks->cell = Longs{} + side * side;
  for (int k = 0; k < 3; ++k) {
    const Floats d = rays.d[k], p = rays.o[k] + entry * d;
    const Ints cell = Cells(p, grid);
    walks->cell += __builtin_convertvector(cell, Longs) * stride[k];
    const Ints forward = d > 0;
    const Doubles wall = -1.0 + __builtin_convertvector(cell - forward, Doubles) * grid.voxel_exactly;
    const Doubles next = grid.first_in_double ? ToDouble(entry) + (wall - ToDouble(p)) / ToDouble(d)
                                              : ToDouble(entry + (ToFloat(wall) - p) / d);
    const Longs stays = Abs(ToDouble(d)) < static_cast<double>(1e-9f);
    const Doubles never = Doubles{} + __builtin_inf();
    walks->next[k] = stays ? never : next;
    walks->delta[k] = stays ? never : grid.voxel_exactly / Abs(ToDouble(d));
    const Longs step =
        __builtin_convertvector(forward, Longs) < 0 ? Longs{} + stride[k] : Longs{} - stride[k];
    walks->stride[k] = stays ? Longs{} : step;
  }
  walks->t = ToDouble(entry);
  // Beyond the occupied cells a walk only ends.
  walks->exit = Min(ToDouble(ToFloat(cube.exit)), box.exit);
  return (cube.exit >= cube.entry) & (box.exit >= box.entry);
}

#if defined(__AVX512F__)
// Walks until all lanes have stopped; `walking` are those that have to, what is returned those that met a
// cell.
inline void Walk(const WalkGridBits& grid, Walks* all, const Longs* can, uint8_t* met) {
  __mmask8 active[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    active[v] = _mm512_test_epi64_mask(reinterpret_cast<__m512i>(can[v]), reinterpret_cast<__m512i>(can[v]));
    met[v] = 0;
  }
  const __m512i one = _mm512_set1_epi64(1), low_bits = _mm512_set1_epi64(31);
  for (int looked = 0; looked < grid.max_steps; ++looked) {
    unsigned any = 0;
    for (int v = 0; v < kVectors; ++v) {
      Walks& w = all[v];
      const __m512i cell = reinterpret_cast<__m512i>(w.cell);
      const __m512i word = _mm512_cvtepu32_epi64(_mm512_mask_i64gather_epi32(
          _mm256_setzero_si256(), active[v], _mm512_srli_epi64(cell, 5), grid.stop, 4));
      const __m512i bit = _mm512_sllv_epi64(one, _mm512_and_si512(cell, low_bits));
      const __mmask8 stopped = _mm512_mask_test_epi64_mask(active[v], word, bit);
      met[v] |= stopped;
      const __mmask8 x_first = _mm512_cmp_pd_mask(w.next[0], w.next[1], _CMP_LT_OQ) &
                               _mm512_cmp_pd_mask(w.next[0], w.next[2], _CMP_LT_OQ);
      const __mmask8 y_first =
          static_cast<__mmask8>(~x_first) & _mm512_cmp_pd_mask(w.next[1], w.next[2], _CMP_LT_OQ);
      const __mmask8 z_first = static_cast<__mmask8>(~(x_first | y_first));
      const __m512d t =
          _mm512_mask_mov_pd(_mm512_mask_mov_pd(w.next[2], y_first, w.next[1]), x_first, w.next[0]);
      active[v] = _mm512_mask_cmp_pd_mask(active[v] & static_cast<__mmask8>(~stopped), t, w.exit, _CMP_LE_OQ);
      w.t = _mm512_mask_mov_pd(w.t, active[v], t);
      w.next[0] = _mm512_mask_add_pd(w.next[0], x_first, w.next[0], w.delta[0]);
      w.next[1] = _mm512_mask_add_pd(w.next[1], y_first, w.next[1], w.delta[1]);
      w.next[2] = _mm512_mask_add_pd(w.next[2], z_first, w.next[2], w.delta[2]);
      const __m512i step =
          _mm512_mask_mov_epi64(_mm512_mask_mov_epi64(reinterpret_cast<__m512i>(w.stride[2]), y_first,
                                                      reinterpret_cast<__m512i>(w.stride[1])),
                                x_first, reinterpret_cast<__m512i>(w.stride[0]));
      w.cell = reinterpret_cast<Longs>(_mm512_mask_add_epi64(cell, active[v], cell, step));
      any |= active[v];
    }
    if (any == 0) break;
  }
}
#elif defined(__AVX2__)
// A lane that does not walk stays in its cell, so that what it looks at exists.
inline void Walk(const WalkGridBits& grid, Walks* all, const Longs* can, uint8_t* met) {
  __m256d active[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    active[v] = reinterpret_cast<__m256d>(can[v] != 0);
    met[v] = 0;
  }
  const __m256i low_bits = _mm256_set1_epi64x(31), last = _mm256_set1_epi64x(63);
  for (int looked = 0; looked < grid.max_steps; ++looked) {
    int any = 0;
    for (int v = 0; v < kVectors; ++v) {
      Walks& w = all[v];
      const __m256i cell = reinterpret_cast<__m256i>(w.cell);
      const __m256i word = _mm256_cvtepu32_epi64(
          _mm256_i64gather_epi32(reinterpret_cast<const int*>(grid.stop), _mm256_srli_epi64(cell, 5), 4));
      // The cell's bit becomes the sign.
      const __m256i bit = _mm256_sllv_epi64(word, _mm256_sub_epi64(last, _mm256_and_si256(cell, low_bits)));
      const __m256d stopped = _mm256_castsi256_pd(_mm256_cmpgt_epi64(_mm256_setzero_si256(), bit));
      met[v] = static_cast<uint8_t>(met[v] | _mm256_movemask_pd(_mm256_and_pd(active[v], stopped)));
      const __m256d x_first = _mm256_and_pd(_mm256_cmp_pd(w.next[0], w.next[1], _CMP_LT_OQ),
                                            _mm256_cmp_pd(w.next[0], w.next[2], _CMP_LT_OQ));
      const __m256d y_first = _mm256_andnot_pd(x_first, _mm256_cmp_pd(w.next[1], w.next[2], _CMP_LT_OQ));
      const __m256d t = _mm256_blendv_pd(_mm256_blendv_pd(w.next[2], w.next[1], y_first), w.next[0], x_first);
      active[v] = _mm256_and_pd(_mm256_andnot_pd(stopped, active[v]), _mm256_cmp_pd(t, w.exit, _CMP_LE_OQ));
      w.t = _mm256_blendv_pd(w.t, t, active[v]);
      w.next[0] = _mm256_add_pd(w.next[0], _mm256_and_pd(x_first, w.delta[0]));
      w.next[1] = _mm256_add_pd(w.next[1], _mm256_and_pd(y_first, w.delta[1]));
      w.next[2] = _mm256_add_pd(w.next[2], _mm256_andnot_pd(_mm256_or_pd(x_first, y_first), w.delta[2]));
      const __m256d step = _mm256_blendv_pd(_mm256_blendv_pd(reinterpret_cast<__m256d>(w.stride[2]),
                                                             reinterpret_cast<__m256d>(w.stride[1]), y_first),
                                            reinterpret_cast<__m256d>(w.stride[0]), x_first);
      w.cell += reinterpret_cast<Longs>(_mm256_and_pd(step, active[v]));
      any |= _mm256_movemask_pd(active[v]);
    }
    if (any == 0) break;
  }
}
#else
inline void Walk(const WalkGridBits& grid, Walks* all, const Longs* can, uint8_t* met) {
  for (int v = 0; v < kVectors; ++v) {
    Walks& w = all[v];
    met[v] = 0;
    for (int lane = 0; lane < kLanes; ++lane) {
      if (can[v][lane] == 0) continue;
      double next[3], delta[3];
      int64_t stride[3];
      for (int k = 0; k < 3; ++k) {
        next[k] = w.next[k][lane], delta[k] = w.delta[k][lane], stride[k] = w.stride[k][lane];
      }
      int64_t cell = w.cell[lane];
      double t = w.t[lane];
      const double exit = w.exit[lane];
      for (int looked = 0; looked < grid.max_steps; ++looked) {
        if (grid.stop[cell >> 5] >> (cell & 31) & 1) {
          met[v] = static_cast<uint8_t>(met[v] | 1 << lane);
          break;
        }
        int axis = 2;
        if (next[0] < next[1] && next[0] < next[2]) {
          axis = 0;
        } else if (next[1] < next[2]) {
          axis = 1;
        }
        if (!(next[axis] <= exit)) break;
        t = next[axis];
        next[axis] += delta[axis];
        cell += stride[axis];
      }
      w.cell[lane] = cell;
      w.t[lane] = t;
    }
  }
}
#endif

}  // namespace

void MF_GRID_WALK_KERNEL(const WalkGridBits& grid, const float* origins, const float* directions,
                         int64_t rays, int32_t* cells, float* t) {
  // Rays that can meet something wait here until there are enough of them to walk together.
  Walks walks[kVectors] = {};
  Longs can[kVectors];
  int64_t ray[kRays];
  int waiting = 0;
  const auto walk = [&] {
    uint8_t met[kVectors];
    for (int i = 0; i < kRays; ++i) can[i / kLanes][i % kLanes] = i < waiting ? -1 : 0;
    Walk(grid, walks, can, met);
    for (int i = 0; i < waiting; ++i) {
      if ((met[i / kLanes] >> (i % kLanes) & 1) == 0) continue;
      cells[ray[i]] = static_cast<int32_t>(walks[i / kLanes].cell[i % kLanes]);
      t[ray[i]] = static_cast<float>(walks[i / kLanes].t[i % kLanes]);
    }
    waiting = 0;
  };
  for (int64_t first = 0; first < rays; first += kLanes) {
    RaysIn in;
    const int count = rays - first < kLanes ? static_cast<int>(rays - first) : kLanes;
    for (int lane = 0; lane < kLanes; ++lane) {
      const int64_t from = 3 * (first + (lane < count ? lane : 0));
      for (int k = 0; k < 3; ++k) {
        in.o[k][lane] = origins[from + k];
        in.d[k][lane] = directions[from + k];
      }
    }
    Walks started;
    const Longs hits = Start(grid, in, &started);
    for (int lane = 0; lane < count; ++lane) {
      cells[first + lane] = -1;
      t[first + lane] = 0;
      if (hits[lane] == 0) continue;
      const int at = waiting % kLanes;
      Walks& to = walks[waiting / kLanes];
      for (int k = 0; k < 3; ++k) {
        to.next[k][at] = started.next[k][lane];
        to.delta[k][at] = started.delta[k][lane];
        to.stride[k][at] = started.stride[k][lane];
      }
      to.cell[at] = started.cell[lane];
      to.t[at] = started.t[lane];
      to.exit[at] = started.exit[lane];
      ray[waiting++] = first + lane;
      if (waiting == kRays) walk();
    }
  }
  walk();
}

}  // namespace manyform

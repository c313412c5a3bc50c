#include "geometry/grid.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "geometry/distance_kernel.h"
#include "geometry/kernel_choice.h"

namespace manyform {
namespace {

// out |= in moved one cell up and down the axis with this stride; a line is what the axis may not leave.
void OrShifted(const uint8_t* in, uint8_t* out, size_t cells, size_t stride, size_t line) {
  for (size_t base = 0; base < cells; base += line) {
    const uint8_t* source = in + base;
    uint8_t* target = out + base;
    const size_t moved = line - stride;
    for (size_t i = 0; i < moved; ++i) target[i] |= source[i + stride];
    for (size_t i = 0; i < moved; ++i) target[i + stride] |= source[i];
  }
}

constexpr int32_t kFar = 1 << 24;

// Squared distance along z to the nearest occupied cell of each z line; kFar on empty lines.
void LinePass(std::span<const uint8_t> occupancy, int g, int32_t* out) {
  for (size_t line = 0; line < occupancy.size(); line += g) {
    int32_t last = -2 * kMaxGridSide;
    for (int z = 0; z < g; ++z) {
      if (occupancy[line + z]) last = z;
      out[line + z] = z - last;
    }
    last = 3 * kMaxGridSide;
    for (int z = g - 1; z >= 0; --z) {
      if (occupancy[line + z]) last = z;
      const int32_t d = std::min(out[line + z], last - z);
      out[line + z] = d > kMaxGridSide ? kFar : d * d;
    }
  }
}

// The lower envelope of the parabolas f[j] + (i-j)^2 at i = 0..n-1, in integers. Elements are `stride` apart.
class EnvelopePass {
 public:
  explicit EnvelopePass(int n) : n_(n), site_(n), from_(n), value_(n) {}

  void Run(int32_t* f, size_t stride) {
    int top = -1;
    for (int j = 0; j < n_; ++j) {
      const int32_t fj = f[j * stride];
      if (fj >= kFar) continue;
      int start = 0;
      while (top >= 0) {
        // Site j is at least as near as the top from the first i with 2 i (j - s) >= fj + j^2 - fs - s^2.
        const int s = site_[top];
        const int32_t numerator = fj + j * j - value_[top] - s * s;
        const int32_t denominator = 2 * (j - s);
        start = numerator <= 0 ? 0 : (numerator + denominator - 1) / denominator;
        if (start > from_[top]) break;
        --top;
      }
      if (top < 0) start = 0;
      if (start >= n_) continue;
      ++top;
      site_[top] = j;
      from_[top] = start;
      value_[top] = fj;
    }
    if (top < 0) return;
    int end = n_;
    for (int p = top; p >= 0; --p) {
      const int s = site_[p];
      for (int i = from_[p]; i < end; ++i) f[i * stride] = value_[p] + (i - s) * (i - s);
      end = from_[p];
    }
  }

 private:
  int n_;
  std::vector<int32_t> site_, from_, value_;
};

bool IsEmpty(std::span<const uint8_t> occupancy) {
  uint8_t any = 0;
  for (const uint8_t o : occupancy) any |= o;
  return any == 0;
}

// \pre g <= kMaxShortSide, a cell is occupied
std::unique_ptr<int16_t[]> ShortTransform(std::span<const uint8_t> occupancy, int g) {
  static ShortDistances* const kernel =
      WidestKernel(&ShortDistancesPortable, &ShortDistancesAvx2, &ShortDistancesAvx512);
  auto distances = std::make_unique_for_overwrite<int16_t[]>(occupancy.size());
  kernel(occupancy.data(), g, distances.get());
  return distances;
}

// Without an occupied cell SciPy's transform measures to the cell (-1,0,0); so does the published system.
int32_t SquaredDistanceToNoCell(int x, int y, int z) { return (x + 1) * (x + 1) + y * y + z * z; }

// Few different values occur, each many times.
template <class ToFloat>
std::vector<float> TableOf(int64_t largest, ToFloat to_float) {
  std::vector<float> table(largest + 1);
  for (size_t d = 0; d < table.size(); ++d) table[d] = to_float(static_cast<int32_t>(d));
  return table;
}

template <class ToFloat>
std::vector<float> DistanceGrid(std::span<const uint8_t> occupancy, int g, ToFloat to_float) {
  std::vector<float> out(occupancy.size());
  if (IsEmpty(occupancy)) {
    for (size_t i = 0, g1 = g; i < out.size(); ++i) {
      out[i] = to_float(SquaredDistanceToNoCell(i / (g1 * g1), i / g1 % g1, i % g1));
    }
    return out;
  }
  if (g <= kMaxShortSide) {
    const std::unique_ptr<int16_t[]> distances = ShortTransform(occupancy, g);
    const int16_t largest = *std::max_element(distances.get(), distances.get() + out.size());
    const std::vector<float> table = TableOf(largest - kShortZero, to_float);
    for (size_t i = 0; i < out.size(); ++i) out[i] = table[distances[i] - kShortZero];
    return out;
  }
  const std::vector<int32_t> squared = SquaredDistanceTransform(occupancy, g);
  const std::vector<float> table = TableOf(*std::max_element(squared.begin(), squared.end()), to_float);
  for (size_t i = 0; i < out.size(); ++i) out[i] = table[squared[i]];
  return out;
}

}  // namespace

int CellIndex(float x, int g) {
  const float cell = std::floor((x + 1.0f) / VoxelSize(g));
  if (!(cell > 0)) return 0;
  return cell < static_cast<float>(g) ? static_cast<int>(cell) : g - 1;
}

std::vector<int32_t> CellIndices(const PointsFRef& points, int g) {
  std::vector<int32_t> cells(points.rows());
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    cells[i] = (CellIndex(points(i, 0), g) * g + CellIndex(points(i, 1), g)) * g + CellIndex(points(i, 2), g);
  }
  return cells;
}

std::vector<uint8_t> Occupancy(const PointsFRef& points, int g) {
  std::vector<uint8_t> occupancy(static_cast<size_t>(g) * g * g, 0);
  for (const int32_t cell : CellIndices(points, g)) occupancy[cell] = 1;
  return occupancy;
}

void Dilate(std::vector<uint8_t>* occupancy, int g, int rounds) {
  const size_t side = g, cells = occupancy->size();
  for (int round = 0; round < std::min(rounds, 3 * g); ++round) {
    const std::vector<uint8_t> before = *occupancy;
    OrShifted(before.data(), occupancy->data(), cells, side * side, cells);
    OrShifted(before.data(), occupancy->data(), cells, side, side * side);
    OrShifted(before.data(), occupancy->data(), cells, 1, side);
  }
}

std::vector<int32_t> SquaredDistanceTransform(std::span<const uint8_t> occupancy, int g) {
  const size_t side = g, plane = side * side;
  std::vector<int32_t> d(occupancy.size());
  if (IsEmpty(occupancy)) {
    std::fill(d.begin(), d.end(), -1);
    return d;
  }
  if (g <= kMaxShortSide) {
    const std::unique_ptr<int16_t[]> distances = ShortTransform(occupancy, g);
    for (size_t i = 0; i < d.size(); ++i) d[i] = distances[i] - kShortZero;
    return d;
  }
  LinePass(occupancy, g, d.data());
  EnvelopePass pass(g);
  for (size_t x = 0; x < side; ++x) {
    for (size_t z = 0; z < side; ++z) pass.Run(&d[x * plane + z], side);
  }
  for (size_t yz = 0; yz < plane; ++yz) pass.Run(&d[yz], plane);
  return d;
}

std::vector<float> UnsignedDistanceGrid(std::span<const uint8_t> occupancy, int g) {
  const double voxel = 2.0 / g;
  return DistanceGrid(occupancy, g, [voxel](int32_t d) { return static_cast<float>(std::sqrt(d) * voxel); });
}

std::vector<float> DistanceGridInCells(std::span<const uint8_t> occupancy, int g) {
  return DistanceGrid(occupancy, g, [](int32_t d) { return static_cast<float>(std::sqrt(d)); });
}

std::vector<float> SampleTrilinear(std::span<const float> grid, int g, const PointsFRef& points,
                                   GridPosition position) {
  const float voxel = VoxelSize(g), half_side = 0.5f * static_cast<float>(g),
              last = static_cast<float>(g - 1);
  const size_t strides[3] = {static_cast<size_t>(g) * g, static_cast<size_t>(g), 1};
  std::vector<float> out(points.rows());
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    size_t low[3], high[3];
    float w[3];
    for (int k = 0; k < 3; ++k) {
      const float x = points(i, k) + 1.0f;
      const float s = (position == GridPosition::kDivideByVoxel ? x / voxel : x * half_side) - 0.5f;
      const float floor = std::floor(s);
      w[k] = s - floor;
      // Written so that NaN clamps to 0.
      low[k] = static_cast<size_t>(floor > 0 ? std::min(floor, last) : 0.0f) * strides[k];
      high[k] = static_cast<size_t>(floor + 1.0f > 0 ? std::min(floor + 1.0f, last) : 0.0f) * strides[k];
    }
    const auto along_x = [&](size_t y, size_t z) {
      return grid[low[0] + y + z] * (1.0f - w[0]) + grid[high[0] + y + z] * w[0];
    };
    const float c0 = along_x(low[1], low[2]) * (1.0f - w[1]) + along_x(high[1], low[2]) * w[1];
    const float c1 = along_x(low[1], high[2]) * (1.0f - w[1]) + along_x(high[1], high[2]) * w[1];
    out[i] = c0 * (1.0f - w[2]) + c1 * w[2];
  }
  return out;
}

PointsF GridCentres(int g) {
  std::vector<float> centre(g);
  for (int i = 0; i < g; ++i) centre[i] = (static_cast<float>(i) + 0.5f) * VoxelSize(g) - 1.0f;
  PointsF centres(static_cast<Eigen::Index>(g) * g * g, 3);
  Eigen::Index row = 0;
  for (int x = 0; x < g; ++x) {
    for (int y = 0; y < g; ++y) {
      for (int z = 0; z < g; ++z) centres.row(row++) << centre[x], centre[y], centre[z];
    }
  }
  return centres;
}

}  // namespace manyform

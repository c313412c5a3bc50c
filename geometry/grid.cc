#include "geometry/grid.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

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

// Up to this side, squared distances fit 16 bits, eight to a vector: trying every site beats the envelope.
constexpr int kSmallSide = 64;
constexpr int16_t kSmallFar = 16000;

// Rows of `width` values, `count` of them `stride` apart: row i becomes the least of row j plus (i-j)^2, over
// j.
class RowsPass {
 public:
  explicit RowsPass(int count) : count_(count), rows_(static_cast<size_t>(count) * kSmallSide) {}

  void Run(int16_t* data, size_t stride, int width) {
    for (int j = 0; j < count_; ++j) {
      int16_t* row = &rows_[static_cast<size_t>(j) * kSmallSide];
      std::fill(std::copy_n(data + j * stride, width, row), row + kSmallSide, kSmallFar);
    }
    for (int i = 0; i < count_; ++i) {
      alignas(64) int16_t best[kSmallSide];
      std::copy_n(&rows_[static_cast<size_t>(i) * kSmallSide], kSmallSide, best);
      int16_t worst = Largest(best, width);
      for (int k = 1; k < count_ && k * k < worst; ++k) {
        if (i - k >= 0) Lower(&rows_[static_cast<size_t>(i - k) * kSmallSide], k, best);
        if (i + k < count_) Lower(&rows_[static_cast<size_t>(i + k) * kSmallSide], k, best);
        if (k % 4 == 0) worst = Largest(best, width);
      }
      std::copy_n(best, width, data + i * stride);
    }
  }

 private:
  // A plain loop, since std::max_element is not vectorised.
  static int16_t Largest(const int16_t* values, int width) {
    int16_t largest = 0;
    for (int z = 0; z < width; ++z) largest = values[z] > largest ? values[z] : largest;
    return largest;
  }
  static void Lower(const int16_t* row, int k, int16_t* best) {
    const int16_t add = static_cast<int16_t>(k * k);
    for (int z = 0; z < kSmallSide; ++z) {
      const int16_t through = static_cast<int16_t>(row[z] + add);
      best[z] = through < best[z] ? through : best[z];
    }
  }
  int count_;
  std::vector<int16_t> rows_;
};

std::vector<int32_t> SmallDistanceTransform(std::span<const uint8_t> occupancy, int g) {
  const size_t side = g, plane = side * side;
  std::vector<int32_t> d(occupancy.size());
  LinePass(occupancy, g, d.data());
  std::vector<int16_t> small(d.size());
  for (size_t i = 0; i < d.size(); ++i) small[i] = static_cast<int16_t>(std::min<int32_t>(d[i], kSmallFar));
  RowsPass pass(g);
  for (size_t x = 0; x < side; ++x) pass.Run(&small[x * plane], side, g);
  for (size_t y = 0; y < side; ++y) pass.Run(&small[y * side], plane, g);
  return {small.begin(), small.end()};
}

// Without an occupied cell SciPy's transform measures to the cell (-1,0,0); so does the published system.
int32_t SquaredDistanceToNoCell(int x, int y, int z) { return (x + 1) * (x + 1) + y * y + z * z; }

template <class ToFloat>
std::vector<float> DistanceGrid(std::span<const uint8_t> occupancy, int g, ToFloat to_float) {
  const std::vector<int32_t> squared = SquaredDistanceTransform(occupancy, g);
  std::vector<float> out(squared.size());
  if (!squared.empty() && squared[0] < 0) {
    for (size_t i = 0, g1 = g; i < out.size(); ++i) {
      out[i] = to_float(SquaredDistanceToNoCell(i / (g1 * g1), i / g1 % g1, i % g1));
    }
    return out;
  }
  // Few different values occur, each many times.
  std::vector<float> table(squared.empty() ? 0 : 1 + *std::max_element(squared.begin(), squared.end()),
                           -1.0f);
  for (size_t i = 0; i < out.size(); ++i) {
    float& value = table[squared[i]];
    if (value < 0) value = to_float(squared[i]);
    out[i] = value;
  }
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
  if (std::none_of(occupancy.begin(), occupancy.end(), [](uint8_t o) { return o != 0; })) {
    std::fill(d.begin(), d.end(), -1);
    return d;
  }
  if (g <= kSmallSide) return SmallDistanceTransform(occupancy, g);
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

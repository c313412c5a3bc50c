#include "geometry/marching_cubes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "geometry/marching_cubes_cases.h"

namespace manyform {
namespace {

// 64 grid points along z, bit by bit.
using Word = uint64_t;
constexpr int kWordBits = 64;

// The largest float that is not above the level: v <= level in double is v <= this in float.
float FloatNotAbove(double level) {
  constexpr float kMost = std::numeric_limits<float>::max();
  if (level >= kMost) return kMost;
  if (level < -kMost) return -std::numeric_limits<float>::infinity();
  const float nearest = static_cast<float>(level);
  return nearest <= level ? nearest : std::nextafterf(nearest, -std::numeric_limits<float>::infinity());
}

// Which of n <= 64 values are inside.
Word InsideBits(const float* values, int n, float threshold) {
  alignas(64) uint8_t bytes[kWordBits] = {};
  for (int i = 0; i < n; ++i) bytes[i] = values[i] <= threshold;
  Word word = 0;
  for (int i = 0; i < kWordBits / 8; ++i) {
    uint64_t eight;
    std::memcpy(&eight, bytes + 8 * i, 8);
    // Gathers the lowest bits of eight (little-endian) bytes in the highest byte; no two products meet.
    static_assert(std::endian::native == std::endian::little);
    word |= (eight * 0x0102040810204080u >> 56) << (8 * i);
  }
  return word;
}

bool AllFinite(const float* values, int n) {
  int bad = 0;
  for (int i = 0; i < n; ++i) bad |= !(std::abs(values[i]) <= std::numeric_limits<float>::max());
  return !bad;
}

// Walks the slabs between planes of equal x and remembers signs and vertices of two planes.
class Extractor {
 public:
  Extractor(std::span<const float> grid, const std::array<int, 3>& size, const IsosurfaceOptions& options)
      : grid_(grid),
        nx_(size[0]),
        ny_(size[1]),
        nz_(size[2]),
        words_((nz_ + kWordBits - 1) / kWordBits),
        options_(options),
        threshold_(FloatNotAbove(options.level)) {
    for (auto& plane : inside_) plane.resize(static_cast<size_t>(ny_) * words_);
    for (auto& plane : vertex_of_) plane.resize(size_t{3} * ny_ * nz_, -1);
  }

  absl::StatusOr<TriangleMesh> Run() {
    MF_RETURN_IF_ERROR(ReadPlane(0));
    for (int x = 0; x + 1 < nx_; ++x) {
      MF_RETURN_IF_ERROR(ReadPlane(x + 1));
      // What the next plane's places hold is of the plane before this one, and older than this slab.
      oldest_[(x + 1) & 1] = VertexCount();
      for (int y = 0; y + 1 < ny_; ++y) {
        if (VertexCount() > std::numeric_limits<int32_t>::max() - kMostVerticesOfCell * int64_t{nz_}) {
          return absl::ResourceExhaustedError("the isosurface has more vertices than 2^31 - 1");
        }
        for (int w = 0; w < words_; ++w) VisitCells(x, y, w);
      }
    }
    return TriangleMesh{Eigen::Map<const PointsD>(vertices_.data(), VertexCount(), 3),
                        Eigen::Map<const Faces>(faces_.data(), faces_.size() / 3, 3)};
  }

 private:
  static constexpr int64_t kMostVerticesOfCell = 24;  // twelve edges, at most as many within

  int32_t VertexCount() const { return static_cast<int32_t>(vertices_.size() / 3); }
  size_t Index(int x, int y, int z) const { return (static_cast<size_t>(x) * ny_ + y) * nz_ + z; }

  absl::Status ReadPlane(int x) {
    for (int y = 0; y < ny_; ++y) {
      const float* row = grid_.data() + Index(x, y, 0);
      if (!AllFinite(row, nz_)) {
        int z = 0;
        while (std::isfinite(row[z])) ++z;
        return absl::InvalidArgumentError(
            absl::StrFormat("grid value (%d,%d,%d) is not finite: %g", x, y, z, row[z]));
      }
      for (int w = 0; w < words_; ++w) {
        inside_[x & 1][static_cast<size_t>(y) * words_ + w] =
            InsideBits(row + w * kWordBits, std::min(kWordBits, nz_ - w * kWordBits), threshold_);
      }
    }
    return absl::OkStatus();
  }

  // The up to 64 cells of one row that start in a word.
  void VisitCells(int x, int y, int w) {
    Word here[4], beyond[4];  // of each of the row's four lines of grid points; beyond: one further in z
    Word any = 0, all = ~Word{0};
    for (int line = 0; line < 4; ++line) {
      const Word* words = &inside_[(x + (line >> 1)) & 1][static_cast<size_t>(y + (line & 1)) * words_ + w];
      here[line] = words[0];
      beyond[line] = words[0] >> 1 | (w + 1 < words_ ? words[1] << (kWordBits - 1) : 0);
      any |= here[line] | beyond[line];
      all &= here[line] & beyond[line];
    }
    const int cells = nz_ - 1 - w * kWordBits;
    Word crossed = any & ~all;
    if (cells < kWordBits) crossed &= (Word{1} << cells) - 1;
    for (; crossed != 0; crossed &= crossed - 1) {
      const int bit = std::countr_zero(crossed);
      int inside = 0;
      for (int line = 0; line < 4; ++line) {
        inside |= static_cast<int>(here[line] >> bit & 1) << (2 * line);
        inside |= static_cast<int>(beyond[line] >> bit & 1) << (2 * line + 1);
      }
      VisitCell(inside, x, y, w * kWordBits + bit);
    }
  }

  void VisitCell(int inside, int x, int y, int z) {
    const CellSurface* surface = cases_.Plain(inside);
    if (surface == nullptr) {
      std::array<double, 8> value;
      for (int c = 0; c < 8; ++c) {
        value[c] = grid_[Index(x + (c >> 2), y + (c >> 1 & 1), z + (c & 1))] - options_.level;
      }
      surface = &cases_.Surface(inside, value);
    }
    const int32_t first_within = AppendWithin(*surface, x, y, z);
    for (const int v : surface->triangles) {
      faces_.push_back(v < kCellEdgeIds ? VertexOn(v, x, y, z) : first_within + v - kCellEdgeIds);
    }
  }

  // Appends the vertices within the cell; returns the first one's index.
  int32_t AppendWithin(const CellSurface& surface, int x, int y, int z) {
    if (surface.interior.empty()) return 0;
    std::vector<Eigen::Vector3d> within;
    for (const std::vector<int8_t>& edges : surface.interior) {
      Eigen::Vector3d sum = Eigen::Vector3d::Zero();
      for (const int edge : edges) {
        sum += Eigen::Map<const Eigen::Vector3d>(&vertices_[size_t{3} * VertexOn(edge, x, y, z)]);
      }
      within.push_back(sum / static_cast<double>(edges.size()));
    }
    const int32_t first = VertexCount();
    for (const Eigen::Vector3d& v : within) vertices_.insert(vertices_.end(), v.data(), v.data() + 3);
    return first;
  }

  int32_t VertexOn(int edge, int x, int y, int z) {
    const int corner = edge % 8, axis = edge / 8;
    const int at[3] = {x + (corner >> 2), y + (corner >> 1 & 1), z + (corner & 1)};
    const int plane = at[0] & 1;
    int32_t& vertex = vertex_of_[plane][(static_cast<size_t>(at[1]) * nz_ + at[2]) * 3 + axis];
    if (vertex >= oldest_[plane]) return vertex;
    vertex = VertexCount();
    const size_t steps[3] = {static_cast<size_t>(ny_) * nz_, static_cast<size_t>(nz_), 1};
    const size_t index = Index(at[0], at[1], at[2]);
    const double from = grid_[index], to = grid_[index + steps[axis]];
    const double along = (options_.level - from) / (to - from);
    for (int k = 0; k < 3; ++k) {
      vertices_.push_back(options_.origin[k] + options_.spacing[k] * (at[k] + (k == axis ? along : 0)));
    }
    return vertex;
  }

  const std::span<const float> grid_;
  const int nx_, ny_, nz_, words_;
  const IsosurfaceOptions options_;
  const float threshold_;
  const CellCases& cases_ = CellCases::Get();
  std::array<std::vector<Word>, 2> inside_;  // [x parity][y words + w]
  // [x parity][(y nz + z) 3 + axis] of the edge that starts at the grid point, valid from oldest_ on.
  std::array<std::vector<int32_t>, 2> vertex_of_;
  std::array<int32_t, 2> oldest_ = {0, 0};
  std::vector<double> vertices_;
  std::vector<int32_t> faces_;
};

absl::Status CheckOptions(const IsosurfaceOptions& options) {
  if (!std::isfinite(options.level)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the level of an isosurface is to be finite, not %g", options.level));
  }
  if (!options.origin.allFinite() || !options.spacing.allFinite() || !(options.spacing.minCoeff() > 0)) {
    return absl::InvalidArgumentError(
        "the origin of a grid is to be finite, its spacing finite and positive");
  }
  return absl::OkStatus();
}

}  // namespace

IsosurfaceOptions CellCentreIsosurface(int g, double level) {
  return {level, Eigen::Vector3d::Constant(-1 + 1.0 / g), Eigen::Vector3d::Constant(2.0 / g)};
}

IsosurfaceOptions CornerIsosurface(int g, double level) {
  return {level, Eigen::Vector3d::Constant(-1), Eigen::Vector3d::Constant(g > 1 ? 2.0 / (g - 1) : 1)};
}

absl::StatusOr<TriangleMesh> ExtractIsosurface(std::span<const float> grid, const std::array<int, 3>& size,
                                               const IsosurfaceOptions& options) {
  const auto [nx, ny, nz] = size;
  constexpr int kMost = 1 << 20;  // three of them still fit 64 bits
  const bool fits = std::min({nx, ny, nz}) >= 2 && std::max({nx, ny, nz}) <= kMost &&
                    grid.size() == static_cast<uint64_t>(nx) * ny * nz;
  if (!fits) {
    return absl::InvalidArgumentError(
        absl::StrFormat("an isosurface needs a grid of sides 2 to %d with a value for each point; "
                        "sides %d, %d, %d came with %d values",
                        kMost, nx, ny, nz, grid.size()));
  }
  MF_RETURN_IF_ERROR(CheckOptions(options));
  return Extractor(grid, size, options).Run();
}

absl::StatusOr<TriangleMesh> ExtractIsosurface(std::span<const float> grid, int g,
                                               const IsosurfaceOptions& options) {
  return ExtractIsosurface(grid, {g, g, g}, options);
}

}  // namespace manyform

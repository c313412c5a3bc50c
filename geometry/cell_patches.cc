#include "geometry/cell_patches.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace manyform {
namespace {

constexpr double kImpossible = std::numeric_limits<double>::infinity();

// Bit k for the face where coordinate k is 0, bit 3 + k where it is 1.
int FacesOf(int edge) {
  const int corner = edge % 8, axis = edge / 8;
  int faces = 0;
  for (int k = 0; k < 3; ++k) {
    if (k != axis) faces |= 1 << (corner >> (2 - k) & 1 ? 3 + k : k);
  }
  return faces;
}

// Between the edges' middles.
double Distance(int edge_a, int edge_b) {
  double squared = 0;
  for (int k = 0; k < 3; ++k) {
    const double a = edge_a / 8 == k ? 0.5 : edge_a >> (2 - k) & 1;
    const double b = edge_b / 8 == k ? 0.5 : edge_b >> (2 - k) & 1;
    squared += (a - b) * (a - b);
  }
  return std::sqrt(squared);
}

double ChordLength(int edge_a, int edge_b) {
  return ShareAFace(edge_a, edge_b) ? kImpossible : Distance(edge_a, edge_b);
}

void AppendTriangle(int a, int b, int c, CellSurface* surface) {
  for (const int v : {a, b, c}) surface->triangles.push_back(static_cast<int8_t>(v));
}

// cost[i][j] of the part of a loop that the chord from i to j cuts off, and the vertex of the triangle on it.
struct ChordTable {
  std::array<std::array<double, 12>, 12> cost = {};
  std::array<std::array<int, 12>, 12> apex = {};
};

ChordTable ShortestChords(const CellLoop& loop) {
  ChordTable table;
  const int n = static_cast<int>(loop.size());
  for (int span = 2; span < n; ++span) {
    for (int i = 0; i + span < n; ++i) {
      const int j = i + span;
      double best = kImpossible;
      for (int k = i + 1; k < j; ++k) {
        const double cost = table.cost[i][k] + table.cost[k][j];
        if (cost < best) best = cost, table.apex[i][j] = k;
      }
      const bool is_border = span == n - 1;
      table.cost[i][j] = best + (is_border ? 0 : ChordLength(loop[i], loop[j]));
    }
  }
  return table;
}

void AppendPart(const CellLoop& loop, const ChordTable& table, int i, int j, CellSurface* surface) {
  if (j - i < 2) return;
  const int k = table.apex[i][j];
  AppendPart(loop, table, i, k, surface);
  AppendPart(loop, table, k, j, surface);
  AppendTriangle(loop[i], loop[k], loop[j], surface);
}

// A tube's bridges in turn: from each to the next either end moves on by one, and the last is the first.
using Bridges = std::vector<std::pair<int, int>>;

// The n + m steps of a walk around both loops as bits, 1 where the first loop's end moves on. The last step,
// bit 0, brings it back to its start, so that every tube is one walk. If each end stands still while the
// other goes around, two bridges are the same one: not a surface.
bool IsTube(int steps, int n, int m) {
  const int count = n + m, once = (1 << count) - 1;
  const int turned = (steps << 1 | steps >> (count - 1)) & once;
  return steps & 1 && std::popcount(static_cast<unsigned>(steps)) == n &&
         std::popcount(static_cast<unsigned>(steps ^ turned)) > 2;
}

using Lengths = std::array<std::array<double, 12>, 12>;

// Of all ways around, that of the least sum of lengths; none if all have a bridge that is not possible.
Bridges BestBridges(int n, int m, const Lengths& length) {
  int best_steps = 0, best_start = 0;
  double best_cost = kImpossible;
  for (int steps = 0; steps < 1 << (n + m); ++steps) {
    if (!IsTube(steps, n, m)) continue;
    for (int start = 0; start < m; ++start) {
      double cost = length[0][start];
      for (int k = 1, i = 0, j = start; k < n + m && cost < best_cost; ++k) {
        int& end = steps >> k & 1 ? i : j;
        if (++end == (&end == &i ? n : m)) end = 0;
        cost += length[i][j];
      }
      if (cost < best_cost) best_cost = cost, best_steps = steps, best_start = start;
    }
  }
  if (!(best_cost < kImpossible)) return {};
  Bridges bridges = {{0, best_start}};
  for (int k = 1; k <= n + m; ++k) {
    auto [i, j] = bridges.back();
    const int step = k < n + m ? k : 0;
    if (best_steps >> step & 1) {
      if (++i == n) i = 0;
    } else {
      if (++j == m) j = 0;
    }
    bridges.push_back({i, j});
  }
  return bridges;
}

void AppendBridged(const CellLoop& a, const CellLoop& b, const Bridges& bridges, CellSurface* surface) {
  for (size_t k = 0; k + 1 < bridges.size(); ++k) {
    const auto [i, j] = bridges[k];
    const auto [next_i, next_j] = bridges[k + 1];
    if (i != next_i) {
      AppendTriangle(a[i], a[next_i], b[j], surface);
    } else {
      AppendTriangle(b[next_j], b[j], a[i], surface);
    }
  }
}

// One interior vertex for each bridge, halfway between its middle and that of all.
int AppendRing(const CellLoop& a, const CellLoop& b, const Bridges& bridges, CellSurface* surface) {
  const int first = kCellEdgeIds + static_cast<int>(surface->interior.size());
  for (size_t k = 0; k + 1 < bridges.size(); ++k) {
    CellLoop edges = a;
    edges.insert(edges.end(), b.begin(), b.end());
    const size_t half = edges.size() / 2;
    edges.insert(edges.end(), half, a[bridges[k].first]);
    edges.insert(edges.end(), half, b[bridges[k].second]);
    surface->interior.push_back(std::move(edges));
  }
  return first;
}

void AppendRinged(const CellLoop& a, const CellLoop& b, const Bridges& bridges, CellSurface* surface) {
  const int ring = AppendRing(a, b, bridges, surface);
  const int count = static_cast<int>(bridges.size()) - 1;
  for (int k = 0; k < count; ++k) {
    const auto [i, j] = bridges[k];
    const auto [next_i, next_j] = bridges[k + 1];
    const int here = ring + k, next = ring + (k + 1) % count;
    if (i != next_i) {
      AppendTriangle(a[i], a[next_i], next, surface);
    } else {
      AppendTriangle(b[next_j], b[j], here, surface);
    }
    AppendTriangle(a[i], next, here, surface);
    AppendTriangle(b[next_j], here, next, surface);
  }
}

}  // namespace

bool ShareAFace(int edge_a, int edge_b) { return FacesOf(edge_a) & FacesOf(edge_b); }

void AppendDisk(const CellLoop& loop, CellSurface* surface) {
  const int n = static_cast<int>(loop.size());
  const ChordTable table = ShortestChords(loop);
  if (table.cost[0][n - 1] < kImpossible) return AppendPart(loop, table, 0, n - 1, surface);
  const int middle = kCellEdgeIds + static_cast<int>(surface->interior.size());
  surface->interior.push_back(loop);
  for (int i = 0; i < n; ++i) AppendTriangle(loop[i], loop[(i + 1) % n], middle, surface);
}

void AppendTube(const CellLoop& a, const CellLoop& b, CellSurface* surface) {
  const CellLoop back(b.rbegin(), b.rend());
  const int n = static_cast<int>(a.size()), m = static_cast<int>(b.size());
  Lengths chord, straight;
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < m; ++j) {
      chord[i][j] = ChordLength(a[i], back[j]);
      straight[i][j] = Distance(a[i], back[j]);
    }
  }
  const Bridges bridges = BestBridges(n, m, chord);
  if (!bridges.empty()) return AppendBridged(a, back, bridges, surface);
  AppendRinged(a, back, BestBridges(n, m, straight), surface);
}

}  // namespace manyform

#include "geometry/marching_cubes_cases.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>
#include <vector>

#include "geometry/cell_patches.h"

namespace manyform {
namespace {

int EdgeBetween(int a, int b) {
  const int bit = a ^ b;
  return CellEdge(a & b, bit == 4 ? 0 : bit == 2 ? 1 : 2);
}

// Corners counter-clockwise seen from outside the cell.
constexpr int kFaces[6][4] = {{0, 1, 3, 2}, {4, 6, 7, 5}, {0, 4, 5, 1},
                              {2, 3, 7, 6}, {0, 2, 6, 4}, {1, 5, 7, 3}};

bool IsInside(int inside, int corner) { return inside >> corner & 1; }

bool IsAmbiguous(int inside, const int (&face)[4]) {
  const bool first = IsInside(inside, face[0]);
  return IsInside(inside, face[1]) != first && IsInside(inside, face[2]) == first &&
         IsInside(inside, face[3]) != first;
}

// The directed segments in which the surface crosses the cell's faces, chained to loops. Around a face, every
// run of inside corners is cut off on its own; in an ambiguous face whose inside corners are joined, the
// outside corners are.
std::vector<CellLoop> Contours(int inside, int joined_faces) {
  std::array<int, kCellEdgeIds> next;
  next.fill(-1);
  for (int f = 0; f < 6; ++f) {
    const auto& face = kFaces[f];
    for (int start = 0; start < 4; ++start) {
      const int before = face[(start + 3) % 4], first = face[start];
      if (!IsInside(inside, first) || IsInside(inside, before)) continue;
      int last = start;
      while (IsInside(inside, face[(last + 1) % 4])) last = (last + 1) % 4;
      next[EdgeBetween(before, first)] = joined_faces >> f & 1
                                             ? EdgeBetween(face[(start + 2) % 4], before)
                                             : EdgeBetween(face[last], face[(last + 1) % 4]);
    }
  }
  std::vector<CellLoop> loops;
  for (int start = 0; start < kCellEdgeIds; ++start) {
    CellLoop loop;
    for (int edge = start; next[edge] >= 0;) {
      loop.push_back(static_cast<int8_t>(edge));
      edge = std::exchange(next[edge], -1);
    }
    if (!loop.empty()) loops.push_back(std::move(loop));
  }
  return loops;
}

// For each corner, the smallest corner of its region: what the contours leave connected on the cell's
// boundary. Every region has a corner, since a contour on a face only cuts corners off.
std::array<int, 8> Regions(int inside, int joined_faces) {
  std::array<int, 8> region;
  std::iota(region.begin(), region.end(), 0);
  const auto join = [&](int a, int b) {
    const int from = std::max(region[a], region[b]), to = std::min(region[a], region[b]);
    for (int& r : region) r = r == from ? to : r;
  };
  for (int f = 0; f < 6; ++f) {
    const auto& face = kFaces[f];
    for (int k = 0; k < 4; ++k) {
      const int corner = face[k], beside = face[(k + 1) % 4], across = face[(k + 2) % 4];
      if (IsInside(inside, corner) == IsInside(inside, beside)) join(corner, beside);
      if (IsAmbiguous(inside, face) && IsInside(inside, corner) == (joined_faces >> f & 1)) {
        join(corner, across);
      }
    }
  }
  return region;
}

// Columns are the cell's edges along x, by the corner at x = 0; those of a diagonal are opposite in y and z.
constexpr int kDiagonals[2][2] = {{0, 3}, {1, 2}};

// Region of the column's corners of that sign; -1 if there are none.
int RegionOfColumn(int column, bool is_inside, int inside, const std::array<int, 8>& region) {
  for (const int corner : {column, column + 4}) {
    if (IsInside(inside, corner) == is_inside) return region[corner];
  }
  return -1;
}

// The two loops that part the regions a and b from one region between them; {-1, -1} if none does. Regions
// and loops form a tree, so there is at most one such pair.
std::pair<int, int> LoopsBetween(int a, int b, const std::vector<std::pair<int, int>>& sides) {
  const auto other = [&](size_t loop, int region) {
    return sides[loop].first == region    ? sides[loop].second
           : sides[loop].second == region ? sides[loop].first
                                          : -1;
  };
  for (size_t i = 0; i < sides.size(); ++i) {
    for (size_t j = 0; j < sides.size(); ++j) {
      if (i != j && other(i, a) >= 0 && other(i, a) == other(j, b)) {
        return {static_cast<int>(i), static_cast<int>(j)};
      }
    }
  }
  return {-1, -1};
}

CellSurface MakeSurface(const std::vector<CellLoop>& loops, std::pair<int, int> tube) {
  CellSurface surface;
  for (int i = 0; i < static_cast<int>(loops.size()); ++i) {
    if (i != tube.first && i != tube.second) AppendDisk(loops[i], &surface);
  }
  if (tube.first >= 0) AppendTube(loops[tube.first], loops[tube.second], &surface);
  return surface;
}

// Whether corners of a face that are of one sign, a and c, are joined across it: the saddle of the bilinear
// interpolant has their sign. The same for both cells of the face, since products do not depend on the order
// of their factors.
bool AreJoined(double a, double b, double c, double d) { return a * c > b * d; }

// Whether two opposite columns are joined within the cell: in some slice between x = 0 and 1 they are of that
// sign, the other two are not, and the slice's saddle is. ac - bd is a quadratic function of x that is not
// positive at the ends of where this may be, or else the regions would meet on the boundary: its maximum
// decides. Every part of a slice holds a corner of it, so that nothing else can join regions.
bool AreJoinedInside(std::span<const double, 8> value, int diagonal, bool inside) {
  const int(&ac)[2] = kDiagonals[diagonal], (&bd)[2] = kDiagonals[1 - diagonal];
  const double a = value[ac[0]], c = value[ac[1]], b = value[bd[0]], d = value[bd[1]];
  const double da = value[ac[0] + 4] - a, dc = value[ac[1] + 4] - c;
  const double db = value[bd[0] + 4] - b, dd = value[bd[1] + 4] - d;
  const double q2 = da * dc - db * dd, q1 = a * dc + c * da - b * dd - d * db;
  const double x = -q1 / (2 * q2);
  if (!(q2 < 0 && x > 0 && x < 1)) return false;
  const double ax = a + da * x, bx = b + db * x, cx = c + dc * x, dx = d + dd * x;
  if ((ax <= 0) != inside || (cx <= 0) != inside || (bx <= 0) == inside || (dx <= 0) == inside) return false;
  return AreJoined(ax, bx, cx, dx);
}

}  // namespace

CellCases::Resolution CellCases::Resolve(int inside, int joined_faces) {
  const std::vector<CellLoop> loops = Contours(inside, joined_faces);
  const std::array<int, 8> region = Regions(inside, joined_faces);
  std::vector<std::pair<int, int>> sides;
  for (const CellLoop& loop : loops) {
    const int low = loop[0] % 8, axis = loop[0] / 8;
    sides.push_back({region[low], region[low | 4 >> axis]});
  }
  Resolution resolution{MakeSurface(loops, {-1, -1}), {}};
  for (const bool sign : {true, false}) {
    for (int8_t diagonal = 0; diagonal < 2; ++diagonal) {
      const int a = RegionOfColumn(kDiagonals[diagonal][0], sign, inside, region);
      const int b = RegionOfColumn(kDiagonals[diagonal][1], sign, inside, region);
      if (a < 0 || b < 0 || a == b) continue;
      const std::pair<int, int> tube = LoopsBetween(a, b, sides);
      if (tube.first >= 0) resolution.tunnels.push_back({diagonal, sign, MakeSurface(loops, tube)});
    }
  }
  return resolution;
}

CellCases::CellCases() {
  for (int inside = 0; inside < 256; ++inside) {
    Case& c = cases_[inside];
    for (int8_t f = 0; f < 6; ++f) {
      if (IsAmbiguous(inside, kFaces[f])) c.ambiguous_faces.push_back(f);
    }
    for (int bits = 0; bits < 1 << c.ambiguous_faces.size(); ++bits) {
      int joined_faces = 0;
      for (size_t i = 0; i < c.ambiguous_faces.size(); ++i) {
        joined_faces |= (bits >> i & 1) << c.ambiguous_faces[i];
      }
      c.resolutions.push_back(Resolve(inside, joined_faces));
    }
    const bool is_plain = c.resolutions.size() == 1 && c.resolutions[0].tunnels.empty();
    plain_[inside] = is_plain ? &c.resolutions[0].surface : nullptr;
  }
}

const CellCases& CellCases::Get() {
  static const CellCases& cases = *new CellCases;
  return cases;
}

const CellSurface& CellCases::Surface(int inside, std::span<const double, 8> value) const {
  const Case& c = cases_[inside];
  int bits = 0;
  for (size_t i = 0; i < c.ambiguous_faces.size(); ++i) {
    const auto& face = kFaces[c.ambiguous_faces[i]];
    const int first = IsInside(inside, face[0]) ? 0 : 1;
    bits |= AreJoined(value[face[first]], value[face[first ^ 1]], value[face[first + 2]],
                      value[face[(first ^ 1) + 2]])
            << i;
  }
  const Resolution& resolution = c.resolutions[bits];
  for (const Tunnel& tunnel : resolution.tunnels) {
    if (AreJoinedInside(value, tunnel.diagonal, tunnel.inside)) return tunnel.surface;
  }
  return resolution.surface;
}

}  // namespace manyform

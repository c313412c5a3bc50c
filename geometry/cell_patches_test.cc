#include "geometry/cell_patches.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace manyform {
namespace {

// V - E + F, with every edge once in each direction, or once along one of the loops; edges that are not of a
// loop are not in a face.
int CheckedEuler(const CellSurface& surface, const std::vector<CellLoop>& loops) {
  std::map<std::pair<int, int>, int> directed;
  std::set<int> vertices;
  const auto& t = surface.triangles;
  for (size_t i = 0; i < t.size(); i += 3) {
    for (int k = 0; k < 3; ++k) {
      vertices.insert(t[i + k]);
      ++directed[{t[i + k], t[i + (k + 1) % 3]}];
    }
  }
  std::set<std::pair<int, int>> border;
  for (const CellLoop& loop : loops) {
    for (size_t i = 0; i < loop.size(); ++i) border.insert({loop[i], loop[(i + 1) % loop.size()]});
  }
  int borders = 0;
  for (const auto& [edge, count] : directed) {
    EXPECT_EQ(count, 1) << edge.first << " " << edge.second;
    const bool is_border = !directed.count({edge.second, edge.first});
    borders += is_border;
    EXPECT_EQ(is_border, border.count(edge) == 1) << edge.first << " " << edge.second;
    if (!is_border && std::max(edge.first, edge.second) < kCellEdgeIds) {
      EXPECT_FALSE(ShareAFace(edge.first, edge.second)) << edge.first << " " << edge.second;
    }
  }
  EXPECT_EQ(borders, static_cast<int>(border.size()));
  const int edges = (static_cast<int>(directed.size()) + borders) / 2;
  return static_cast<int>(vertices.size()) - edges + static_cast<int>(t.size()) / 3;
}

constexpr int8_t X(int corner) { return static_cast<int8_t>(CellEdge(corner, 0)); }
constexpr int8_t Y(int corner) { return static_cast<int8_t>(CellEdge(corner, 1)); }
constexpr int8_t Z(int corner) { return static_cast<int8_t>(CellEdge(corner, 2)); }

TEST(ShareAFace, EveryEdgeSharesOneWithSixOthers) {
  std::vector<int> edges;
  for (int corner = 0; corner < 8; ++corner) {
    for (int axis = 0; axis < 3; ++axis) {
      if (!(corner & 4 >> axis)) edges.push_back(CellEdge(corner, axis));
    }
  }
  ASSERT_EQ(edges.size(), 12u);
  for (const int a : edges) {
    // Three others in each of two faces; the edge itself counts once.
    EXPECT_EQ(std::count_if(edges.begin(), edges.end(), [&](int b) { return ShareAFace(a, b); }), 7);
  }
  EXPECT_FALSE(ShareAFace(X(0), X(3)));
  EXPECT_TRUE(ShareAFace(X(0), X(1)));
  EXPECT_FALSE(ShareAFace(X(0), Y(5)));
}

TEST(AppendDisk, ATriangleASquareAndAHexagonNeedNoVertexOfTheirOwn) {
  for (const CellLoop& loop : {CellLoop{X(0), Y(0), Z(0)}, CellLoop{X(0), X(1), X(3), X(2)},
                               CellLoop{X(1), Y(1), Y(4), X(2), Z(2), Z(4)}}) {
    CellSurface surface;
    AppendDisk(loop, &surface);
    EXPECT_TRUE(surface.interior.empty());
    EXPECT_EQ(surface.triangles.size(), 3 * (loop.size() - 2));
    EXPECT_EQ(CheckedEuler(surface, {loop}), 1);
  }
}

TEST(AppendDisk, ALoopWhoseChordsLieInFacesIsAFan) {
  // Seen along y, the loop of a cell whose corners 2, 3, 4 and 5 are inside, joined at x = 1.
  const CellLoop loop = {X(0), X(1), Y(5), Y(4), X(2), X(3), Y(1), Y(0)};
  CellSurface surface;
  AppendDisk(loop, &surface);
  ASSERT_EQ(surface.interior.size(), 1u);
  EXPECT_EQ(surface.interior[0], loop);
  EXPECT_EQ(surface.triangles.size(), 24u);
  EXPECT_EQ(CheckedEuler(surface, {loop}), 1);
}

TEST(AppendTube, OppositeCornersNeedNoVertexOfTheirOwn) {
  const CellLoop a = {X(0), Y(0), Z(0)}, b = {X(3), Y(5), Z(6)};
  CellSurface surface;
  AppendTube(a, b, &surface);
  EXPECT_TRUE(surface.interior.empty());
  EXPECT_EQ(surface.triangles.size(), 18u);
  EXPECT_EQ(CheckedEuler(surface, {a, b}), 0);
}

TEST(AppendTube, LoopsThatShareAllTheirFacesGetARing) {
  const CellLoop a = {X(0), Y(0), Z(0)}, b = {X(1), Y(1), Y(4), X(2), Z(2), Z(4)};
  CellSurface surface;
  AppendTube(a, b, &surface);
  EXPECT_EQ(surface.interior.size(), a.size() + b.size());
  EXPECT_EQ(surface.triangles.size(), 3 * 3 * (a.size() + b.size()));
  EXPECT_EQ(CheckedEuler(surface, {a, b}), 0);
}

TEST(Append, PatchesOfOneCellAreApart) {
  const CellLoop fan = {X(0), Z(0), Y(0), X(2), Z(2), Y(1), X(1), Z(4), Y(4)}, triangle = {X(3), Y(5), Z(6)};
  CellSurface surface;
  AppendDisk(fan, &surface);
  AppendDisk(triangle, &surface);
  ASSERT_EQ(surface.interior.size(), 1u);
  EXPECT_EQ(CheckedEuler(surface, {fan, triangle}), 2);
  CellSurface ring;
  AppendDisk(triangle, &ring);
  AppendTube({X(0), Y(0), Z(0)}, {X(1), Y(1), Y(4), X(2), Z(2), Z(4)}, &ring);
  EXPECT_EQ(CheckedEuler(ring, {triangle, {X(0), Y(0), Z(0)}, {X(1), Y(1), Y(4), X(2), Z(2), Z(4)}}), 1);
}

}  // namespace
}  // namespace manyform

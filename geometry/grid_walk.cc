#include "geometry/grid_walk.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "geometry/grid.h"

namespace manyform {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Crossing {
  bool hit;
  float entry, exit;
};

Crossing CrossSlabs(const float* o, const float* d) {
  double entry = -kInfinity, exit = kInfinity;
  for (int k = 0; k < 3; ++k) {
    double along = d[k];
    if (std::abs(along) < 1e-9) along = along >= 0 ? 1e-9 : -1e-9;
    const double inverse = 1.0 / along;
    const double low = static_cast<double>(-1.0f - o[k]) * inverse;
    const double high = static_cast<double>(1.0f - o[k]) * inverse;
    entry = std::max(entry, std::min(low, high));
    exit = std::min(exit, std::max(low, high));
  }
  entry = std::max(entry, 0.0);
  return {exit >= entry, static_cast<float>(entry), static_cast<float>(exit)};
}

// One ray's state: the next wall crossing and the distance between crossings, per axis.
struct Walk {
  double next[3], delta[3];
  int32_t cell[3], step[3];
};

Walk StartWalk(const float* o, const float* d, float entry, int g, FirstCrossing first_crossing) {
  const double voxel = 2.0 / g;
  Walk walk;
  for (int k = 0; k < 3; ++k) {
    const float p = o[k] + entry * d[k];
    walk.cell[k] = CellIndex(p, g);
    if (std::abs(d[k]) < 1e-9f) {
      walk.next[k] = walk.delta[k] = kInfinity;
      walk.step[k] = 0;
      continue;
    }
    const bool forward = d[k] > 0;
    walk.step[k] = forward ? 1 : -1;
    walk.delta[k] = voxel / std::abs(static_cast<double>(d[k]));
    const double wall = -1.0 + (walk.cell[k] + (forward ? 1 : 0)) * voxel;
    walk.next[k] = first_crossing == FirstCrossing::kSingle
                       ? static_cast<double>(entry + (static_cast<float>(wall) - p) / d[k])
                       : entry + (wall - static_cast<double>(p)) / static_cast<double>(d[k]);
  }
  return walk;
}

// Depth at which the first occupied cell is entered; negative for none.
double FirstOccupied(const uint8_t* occupancy, int g, Walk walk, float entry, float exit, int max_steps) {
  const int32_t stride[3] = {g * g, g, 1};
  int32_t index = walk.cell[0] * stride[0] + walk.cell[1] * stride[1] + walk.cell[2];
  double t = entry;
  for (int looked = 0; looked < max_steps; ++looked) {
    if (occupancy[index]) return t;
    int axis = 2;
    if (walk.next[0] < walk.next[1] && walk.next[0] < walk.next[2]) {
      axis = 0;
    } else if (walk.next[1] < walk.next[2]) {
      axis = 1;
    }
    t = walk.next[axis];
    if (!(t <= exit)) return -1;
    walk.next[axis] += walk.delta[axis];
    walk.cell[axis] += walk.step[axis];
    if (static_cast<uint32_t>(walk.cell[axis]) >= static_cast<uint32_t>(g)) return -1;
    index += walk.step[axis] * stride[axis];
  }
  return -1;
}

}  // namespace

CubeCrossings CrossCube(const PointsFRef& origins, const PointsFRef& directions) {
  const Eigen::Index n = origins.rows();
  CubeCrossings crossings{std::vector<uint8_t>(n), std::vector<float>(n), std::vector<float>(n)};
  for (Eigen::Index i = 0; i < n; ++i) {
    const Crossing c = CrossSlabs(origins.row(i).data(), directions.row(i).data());
    crossings.hit[i] = c.hit;
    crossings.t_entry[i] = c.entry;
    crossings.t_exit[i] = c.exit;
  }
  return crossings;
}

GridHits WalkGrid(std::span<const uint8_t> occupancy, int g, const PointsFRef& origins,
                  const PointsFRef& directions, const GridWalkOptions& options) {
  const Eigen::Index n = origins.rows();
  const int max_steps = options.max_steps > 0 ? options.max_steps : 3 * g;
  GridHits hits{std::vector<uint8_t>(n, 0), std::vector<float>(n, 0.0f)};
  for (Eigen::Index i = 0; i < n; ++i) {
    const float* o = origins.row(i).data();
    const float* d = directions.row(i).data();
    const Crossing crossing = CrossSlabs(o, d);
    if (!crossing.hit) continue;
    const Walk walk = StartWalk(o, d, crossing.entry, g, options.first_crossing);
    const double t = FirstOccupied(occupancy.data(), g, walk, crossing.entry, crossing.exit, max_steps);
    if (t < 0) continue;
    hits.hit[i] = 1;
    hits.t[i] = static_cast<float>(t);
  }
  return hits;
}

RayAnswers WalkPointCloud(std::span<const uint8_t> occupancy, int g, const PointsFRef& origins,
                          const PointsFRef& directions, const NearestPoints& cloud, const PointsFRef& normals,
                          const GridWalkOptions& options) {
  GridHits hits = WalkGrid(occupancy, g, origins, directions, options);
  RayAnswers answers{std::vector<float>(hits.hit.begin(), hits.hit.end()), std::move(hits.t),
                     PointsF::Zero(origins.rows(), 3)};
  PointsF at(origins.rows(), 3);
  std::vector<int32_t> ray;
  for (Eigen::Index i = 0; i < origins.rows(); ++i) {
    if (!hits.hit[i]) continue;
    at.row(static_cast<Eigen::Index>(ray.size())) = origins.row(i) + answers.t[i] * directions.row(i);
    ray.push_back(static_cast<int32_t>(i));
  }
  const std::vector<int32_t> nearest = cloud.Indices(at.topRows(static_cast<Eigen::Index>(ray.size())));
  for (size_t i = 0; i < ray.size(); ++i) answers.normals.row(ray[i]) = normals.row(nearest[i]);
  return answers;
}

}  // namespace manyform

#include "train/testing/synthetic_cache.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numbers>
#include <stdexcept>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/numpy_random.h"
#include "data/manifest.h"
#include "data/npz.h"

namespace manyform {
namespace {

using Point = std::array<double, 3>;
// Signed distance.
using Solid = std::function<double(const Point&)>;

constexpr int kGrid = 16;
constexpr int kCloud = 128;

double Norm(const Point& p) { return std::sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]); }
Point Along(const Point& o, const Point& d, double t) {
  return {o[0] + t * d[0], o[1] + t * d[1], o[2] + t * d[2]};
}

Solid Ball(const Point& centre, double radius) {
  return [=](const Point& p) {
    return Norm({p[0] - centre[0], p[1] - centre[1], p[2] - centre[2]}) - radius;
  };
}

Solid Box(const Point& half) {
  return [=](const Point& p) {
    Point outside;
    double inside = -1e9;
    for (int a = 0; a < 3; ++a) {
      const double q = std::abs(p[a]) - half[a];
      outside[a] = std::max(q, 0.0);
      inside = std::max(inside, q);
    }
    return Norm(outside) + std::min(inside, 0.0);
  };
}

Solid MakeSolid(int kind, NumpyRandomState& random) {
  const double size = random.Uniform(0.35, 0.7);
  if (kind == 0) return Ball({0, 0, 0}, size);
  if (kind == 1) return Box({size, random.Uniform(0.1, 0.4), random.Uniform(0.3, 0.7)});
  const double apart = random.Uniform(0.3, 0.55);
  const Solid a = Ball({apart, 0, 0}, 0.3), b = Ball({-apart, 0, 0}, 0.3);
  return [=](const Point& p) { return std::min(a(p), b(p)); };
}

Point Normal(const Solid& solid, const Point& p) {
  Point n;
  for (int a = 0; a < 3; ++a) {
    Point high = p, low = p;
    high[a] += 1e-4;
    low[a] -= 1e-4;
    n[a] = solid(high) - solid(low);
  }
  const double length = std::max(Norm(n), 1e-12);
  return {n[0] / length, n[1] / length, n[2] / length};
}

Point Direction(NumpyRandomState& random) {
  Point d = {random.Normal(), random.Normal(), random.Normal()};
  const double length = Norm(d);
  return {d[0] / length, d[1] / length, d[2] / length};
}

void Add(const Point& p, std::vector<float>* out) {
  for (const double x : p) out->push_back(static_cast<float>(x));
}

// Sphere tracing; a negative depth is a miss.
double Trace(const Solid& solid, const Point& o, const Point& d) {
  double t = 0;
  for (int i = 0; i < 64 && t < 5; ++i) {
    const double step = solid(Along(o, d, t));
    if (step < 1e-4) return t;
    t += step;
  }
  return -1;
}

std::vector<NamedArray> Pools(const Solid& solid, int points, int rays, NumpyRandomState& random) {
  std::vector<float> cloud, cloud_n, xyz, distance, o, d, hit, t, n, grid;
  while (static_cast<int>(cloud.size()) < 3 * kCloud) {
    const Point from = Direction(random), to = {-from[0], -from[1], -from[2]};
    const Point start = Along({0.3 * random.Normal(), 0.3 * random.Normal(), 0.3 * random.Normal()}, from, 2);
    const double depth = Trace(solid, start, to);
    if (depth < 0) continue;
    Add(Along(start, to, depth), &cloud);
    Add(Normal(solid, Along(start, to, depth)), &cloud_n);
  }
  for (int i = 0; i < points; ++i) {
    const Point p = {random.Uniform(-1, 1), random.Uniform(-1, 1), random.Uniform(-1, 1)};
    Add(p, &xyz);
    distance.push_back(static_cast<float>(std::abs(solid(p))));
  }
  for (int i = 0; i < rays; ++i) {
    const Point from = Direction(random), origin = Along({0, 0, 0}, from, 2.2);
    const Point wobble = Direction(random);
    Point to = {-from[0] + 0.2 * wobble[0], -from[1] + 0.2 * wobble[1], -from[2] + 0.2 * wobble[2]};
    const double length = Norm(to);
    to = {to[0] / length, to[1] / length, to[2] / length};
    const double depth = Trace(solid, origin, to);
    Add(origin, &o);
    Add(to, &d);
    hit.push_back(depth < 0 ? 0 : 1);
    t.push_back(static_cast<float>(std::max(depth, 0.0)));
    Add(depth < 0 ? Point{0, 0, 0} : Normal(solid, Along(origin, to, depth)), &n);
  }
  const auto centre = [](int i) { return (i + 0.5) * 2 / kGrid - 1; };
  for (int i = 0; i < kGrid * kGrid * kGrid; ++i) {
    const Point p = {centre(i / (kGrid * kGrid)), centre(i / kGrid % kGrid), centre(i % kGrid)};
    grid.push_back(static_cast<float>(std::max(solid(p), 0.0)));
  }
  return {
      {"pc_xyz", MakeArray(cloud, {kCloud, 3})},
      {"pc_n", MakeArray(cloud_n, {kCloud, 3})},
      {"pt_xyz_pool", MakeArray(xyz, {points, 3})},
      {"pt_dist_pool", MakeArray(distance, {points})},
      {"pt_dist_pc_pool", MakeArray(distance, {points})},
      {"pt_dist_udf_pool", MakeArray(distance, {points})},
      {"udf_grid", MakeHalfArray(grid, {kGrid, kGrid, kGrid})},
      {"ray_o_pool", MakeArray(o, {rays, 3})},
      {"ray_d_pool", MakeArray(d, {rays, 3})},
      {"ray_hit_pool", MakeArray(hit, {rays})},
      {"ray_t_pool", MakeArray(t, {rays})},
      {"ray_n_pool", MakeArray(n, {rays, 3})},
      {"ray_hit_pc_pool", MakeArray(hit, {rays})},
      {"ray_t_pc_pool", MakeArray(t, {rays})},
      {"ray_n_pc_pool", MakeArray(n, {rays, 3})},
  };
}

void Check(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

}  // namespace

void WriteSyntheticSplit(const SyntheticCache& cache, const std::string& split) {
  NumpyRandomState random(cache.seed);
  const std::array<const char*, 3> classes = {"ball", "box", "pair"};
  for (int kind = 0; kind < 3; ++kind) {
    for (int i = 0; i < cache.shapes_per_class; ++i) {
      const std::string path =
          absl::StrFormat("%s/%s/%s/%s_%03d.npz", cache.root, split, classes[kind], classes[kind], i);
      Check(WriteNpz(path, Pools(MakeSolid(kind, random), cache.points, cache.rays, random)));
    }
  }
  absl::StatusOr<CacheManifest> manifest = IndexCache(cache.root, 1, /*checksums=*/true);
  Check(manifest.status());
  Check(WriteManifest(cache.root, *std::move(manifest)));
}

}  // namespace manyform

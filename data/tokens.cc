#include "data/tokens.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "geometry/ordering.h"
#include "geometry/token_order.h"

namespace manyform {
namespace {

PointsF GatherRows(const PointsFMap& pool, std::span<const int64_t> indices) {
  PointsF rows(indices.size(), 3);
  for (size_t i = 0; i < indices.size(); ++i) rows.row(i) = pool.row(indices[i]);
  return rows;
}

std::vector<float> Gather(std::span<const float> pool, std::span<const int64_t> indices) {
  std::vector<float> values(indices.size());
  for (size_t i = 0; i < indices.size(); ++i) values[i] = pool[indices[i]];
  return values;
}

// Points, and directions, as they lie after the augmentation.
PointsF MovedPoints(const PointsFMap& pool, std::span<const int64_t> indices, const Augmentation& moved) {
  PointsF rows = GatherRows(pool, indices);
  if (!moved.moves()) return rows;
  for (size_t i = 0; i < indices.size(); ++i) moved.MovePoint(indices[i], rows.row(i).data());
  return rows;
}

PointsF Turned(const PointsFMap& pool, std::span<const int64_t> indices, const Augmentation& moved) {
  PointsF rows = GatherRows(pool, indices);
  if (!moved.moves()) return rows;
  for (Eigen::Index i = 0; i < rows.rows(); ++i) moved.Turn(rows.row(i).data());
  return rows;
}

// All points of the pool, where they are or moved into `storage`.
PointsFMap MovedPool(const PointsFMap& pool, const Augmentation& moved, PointsF* storage) {
  if (!moved.moves()) return pool;
  *storage = pool;
  for (Eigen::Index i = 0; i < pool.rows(); ++i) moved.MovePoint(i, storage->row(i).data());
  return PointsFMap(storage->data(), storage->rows(), 3);
}

template <class Index>
std::vector<int64_t> Pick(std::span<const int64_t> values, std::span<const Index> order) {
  std::vector<int64_t> picked(order.size());
  for (size_t i = 0; i < order.size(); ++i) picked[i] = values[order[i]];
  return picked;
}

// The stored order's first k; what it lacks comes at random from the points it does not name.
template <class Random>
absl::StatusOr<std::vector<int64_t>> StoredFarthest(std::span<const int32_t> order, int64_t pool, int64_t k,
                                                    Random& random) {
  const int64_t stored = std::min<int64_t>(k, order.size());
  std::vector<int64_t> chosen(order.begin(), order.begin() + stored);
  if (stored == k) return chosen;
  std::vector<bool> used(pool, false);
  for (const int64_t i : chosen) used[i] = true;
  std::vector<int64_t> unused;
  for (int64_t i = 0; i < pool; ++i) {
    if (!used[i]) unused.push_back(i);
  }
  MF_ASSIGN_OR_RETURN(const std::vector<int64_t> more,
                      random.Choice(static_cast<int64_t>(unused.size()), k - stored, /*replace=*/false));
  for (const int64_t i : more) chosen.push_back(unused[i]);
  return chosen;
}

absl::StatusOr<std::vector<int64_t>> ComputedFarthest(const Pools& pools, const Augmentation& moved,
                                                      int64_t k) {
  if (moved.moves() || pools.computed == nullptr) {
    PointsF storage;
    const std::vector<int32_t> order = FarthestPointOrder(MovedPool(pools.xyz, moved, &storage), k);
    return std::vector<int64_t>(order.begin(), order.end());
  }
  // Whoever needs the same shape's order waits for it: computing it again would take as long.
  const std::lock_guard lock(pools.computed->mutex);
  std::vector<int32_t>& order = pools.computed->farthest;
  if (static_cast<int64_t>(order.size()) < k) order = FarthestPointOrder(pools.xyz, k);
  return std::vector<int64_t>(order.begin(), order.begin() + k);
}

absl::StatusOr<std::vector<int64_t>> NearestToLattice(const Pools& pools, const Augmentation& moved,
                                                      int64_t k) {
  if (moved.moves() || pools.computed == nullptr) {
    PointsF storage;
    MF_ASSIGN_OR_RETURN(const std::vector<int32_t> nearest,
                        LatticePick(MovedPool(pools.xyz, moved, &storage), k));
    return std::vector<int64_t>(nearest.begin(), nearest.end());
  }
  const std::lock_guard lock(pools.computed->mutex);
  std::vector<int32_t>& nearest = pools.computed->lattice;
  if (static_cast<int64_t>(nearest.size()) != k) {
    MF_ASSIGN_OR_RETURN(nearest, LatticePick(pools.xyz, k));
  }
  return std::vector<int64_t>(nearest.begin(), nearest.end());
}

template <class Random>
absl::StatusOr<std::vector<int64_t>> RandomFarthest(const Pools& pools, const Augmentation& moved, int64_t k,
                                                    int64_t m, Random& random) {
  const int64_t pool = pools.xyz.rows();
  m = std::min(std::max<int64_t>(m, 1), pool);
  if (m < k) {
    return absl::InvalidArgumentError(absl::StrCat("pt_rfps_m is ", m, ", expected at least n_point = ", k));
  }
  MF_ASSIGN_OR_RETURN(const std::vector<int64_t> candidates, random.Choice(pool, m, /*replace=*/false));
  const std::vector<int32_t> order = FarthestPointOrder(MovedPoints(pools.xyz, candidates, moved), k);
  return Pick<int32_t>(candidates, order);
}

template <class Random>
absl::StatusOr<std::vector<int64_t>> DrawPoints(const Pools& pools, const Augmentation& moved,
                                                const TokenOptions& options, Random& random) {
  const int64_t k = options.n_point, pool = pools.xyz.rows();
  if (k == 0) return std::vector<int64_t>();
  if (k < 0 || k > pool) {
    return absl::InvalidArgumentError(absl::StrCat("n_point is ", k, ", but the pool has ", pool, " points"));
  }
  switch (options.sampling) {
    case PointSampling::kRandom:
      return random.Choice(pool, k, /*replace=*/false);
    case PointSampling::kFps:
      if (!pools.fps_order.empty()) return StoredFarthest(pools.fps_order, pool, k, random);
      return ComputedFarthest(pools, moved, k);
    case PointSampling::kRfps:
      return RandomFarthest(pools, moved, k, options.rfps_m, random);
    case PointSampling::kGrid:
      return NearestToLattice(pools, moved, k);
  }
  return absl::InternalError("unknown point sampling");
}

// Rays are drawn even when nobody answers them: what follows in the stream does not depend on the backend.
template <class Random>
absl::StatusOr<std::vector<int64_t>> DrawRays(const Pools& pools, int64_t n_ray, Random& random) {
  if (n_ray == 0) return std::vector<int64_t>();
  const int64_t pool = pools.ray_o.rows();
  if (n_ray < 0 || pool == 0) {
    return absl::InvalidArgumentError(absl::StrCat("n_ray is ", n_ray, ", but the pool has ", pool, " rays"));
  }
  return random.Choice(pool, n_ray, /*replace=*/pool < n_ray);
}

// Asks for memory that will be read soon, in an order of its own.
void Expect(const Pools& pools, std::span<const int64_t> points, std::span<const int64_t> rays) {
  for (const int64_t i : points) {
    __builtin_prefetch(pools.xyz.data() + 3 * i);
    __builtin_prefetch(&pools.distance[i]);
  }
  for (const int64_t i : rays) {
    for (const PointsFMap* pool : {&pools.ray_d, &pools.ray_o, &pools.ray_n})
      __builtin_prefetch(pool->data() + 3 * i);
    __builtin_prefetch(&pools.ray_hit[i]);
    __builtin_prefetch(&pools.ray_t[i]);
  }
}

template <class Random>
absl::StatusOr<Sample> Draw(const Pools& pools, const TokenOptions& options, Random& random) {
  thread_local TokenOrder order;
  Sample sample;
  sample.augmentation = Augmentation::Draw(options.augment, pools.xyz.rows(), random);
  const Augmentation& moved = sample.augmentation;
  MF_ASSIGN_OR_RETURN(const std::vector<int64_t> points, DrawPoints(pools, moved, options, random));
  MF_ASSIGN_OR_RETURN(const std::vector<int64_t> rays, DrawRays(pools, options.n_ray, random));
  Expect(pools, points, rays);
  sample.rays_missing = !pools.ray_available || options.force_missing_ray;
  if (!sample.rays_missing && options.drop_ray_prob > 0 && options.n_ray > 0) {
    sample.rays_missing = random.Double() < options.drop_ray_prob;
  }
  sample.points = Pick(points, order.Morton(MovedPoints(pools.xyz, points, moved)));
  sample.rays = Pick(rays, order.Rays(Turned(pools.ray_d, rays, moved)));
  return sample;
}

// What the rays answer, as they lie after the augmentation. (m,3) or (m).
struct RayParts {
  PointsF o, d, n;
  std::vector<float> hit, t;
};

RayParts GatherRays(const Pools& pools, const Sample& sample) {
  const Augmentation& moved = sample.augmentation;
  RayParts rays{GatherRows(pools.ray_o, sample.rays), Turned(pools.ray_d, sample.rays, moved),
                Turned(pools.ray_n, sample.rays, moved), Gather(pools.ray_hit, sample.rays),
                Gather(pools.ray_t, sample.rays)};
  if (!moved.moves()) return rays;
  for (Eigen::Index i = 0; i < rays.o.rows(); ++i) moved.MovePlace(rays.o.row(i).data());
  for (float& t : rays.t) t *= moved.scale();
  return rays;
}

template <class Random>
absl::Status Build(const Pools& pools, const TokenOptions& options, Random& random, std::span<float> feat,
                   std::span<uint8_t> type) {
  MF_ASSIGN_OR_RETURN(const Sample sample, DrawSample(pools, options, random));
  LayOutTokens(GatherSample(pools, sample, options), options.layout, feat, type);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PointSampling> ParsePointSampling(std::string_view name) {
  if (name == "random") return PointSampling::kRandom;
  if (name == "fps") return PointSampling::kFps;
  if (name == "rfps") return PointSampling::kRfps;
  if (name == "grid" || name == "fixed_grid") return PointSampling::kGrid;
  return absl::InvalidArgumentError(
      absl::StrCat("point sampling '", ToAbsl(name), "', expected random, fps, rfps, grid or fixed_grid"));
}

absl::StatusOr<Sample> DrawSample(const Pools& pools, const TokenOptions& options, NumpyRandomState& random) {
  return Draw(pools, options, random);
}

absl::StatusOr<Sample> DrawSample(const Pools& pools, const TokenOptions& options, TrainStream& random) {
  return Draw(pools, options, random);
}

SequenceParts GatherSample(const Pools& pools, const Sample& sample, const TokenOptions& options) {
  SequenceParts parts;
  parts.xyz = MovedPoints(pools.xyz, sample.points, sample.augmentation);
  if (options.ablate_point_dist) {
    parts.distance.resize(sample.points.size());
  } else {
    parts.distance = Gather(pools.distance, sample.points);
    for (float& d : parts.distance) d *= sample.augmentation.scale();
  }
  parts.rays_missing = sample.rays_missing;
  // Missing rays keep their place in the sequence and what they say of the points, and nothing else.
  if (sample.rays_missing && !options.gradient.include) {
    parts.ray_o.resize(static_cast<Eigen::Index>(sample.rays.size()), 3);
    return parts;
  }
  RayParts rays = GatherRays(pools, sample);
  if (options.gradient.include || options.uncertainty.include) {
    const Hits hits = HitsOf(rays.o, rays.d, rays.n, rays.hit, rays.t);
    if (options.gradient.include) {
      parts.gradient = GradientsAt(parts.xyz, parts.distance, hits, options.gradient);
    }
    if (options.uncertainty.include) {
      parts.ray_uncertainty =
          NormalUncertainty(hits, static_cast<int64_t>(sample.rays.size()), options.uncertainty.k);
    }
  }
  parts.ray_o = std::move(rays.o);
  parts.ray_d = std::move(rays.d);
  parts.ray_n = std::move(rays.n);
  parts.ray_hit = std::move(rays.hit);
  parts.ray_t = std::move(rays.t);
  return parts;
}

absl::Status BuildTokens(const Pools& pools, const TokenOptions& options, NumpyRandomState& random,
                         std::span<float> feat, std::span<uint8_t> type) {
  return Build(pools, options, random, feat, type);
}

absl::Status BuildTokens(const Pools& pools, const TokenOptions& options, TrainStream& random,
                         std::span<float> feat, std::span<uint8_t> type) {
  return Build(pools, options, random, feat, type);
}

uint32_t EvalSeed(std::string_view path, int64_t eval_seed, int64_t k) {
  // Unsigned sums wrap, which is the modulus.
  return Md5Prefix32(path) + static_cast<uint32_t>(eval_seed) + 1000003u * static_cast<uint32_t>(k);
}

}  // namespace manyform

#include "data/tokens.h"

#include <algorithm>
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

template <class Index>
std::vector<int64_t> Pick(std::span<const int64_t> values, const std::vector<Index>& order) {
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

template <class Random>
absl::StatusOr<std::vector<int64_t>> RandomFarthest(const Pools& pools, int64_t k, int64_t m,
                                                    Random& random) {
  const int64_t pool = pools.xyz.rows();
  m = std::min(std::max<int64_t>(m, 1), pool);
  if (m < k) {
    return absl::InvalidArgumentError(absl::StrCat("pt_rfps_m is ", m, ", expected at least n_point = ", k));
  }
  MF_ASSIGN_OR_RETURN(const std::vector<int64_t> candidates, random.Choice(pool, m, /*replace=*/false));
  return Pick(candidates, FarthestPointOrder(GatherRows(pools.xyz, candidates), k));
}

template <class Random>
absl::StatusOr<std::vector<int64_t>> DrawPoints(const Pools& pools, const TokenOptions& options,
                                                Random& random) {
  const int64_t k = options.n_point, pool = pools.xyz.rows();
  if (k == 0) return std::vector<int64_t>();
  if (k < 0 || k > pool) {
    return absl::InvalidArgumentError(absl::StrCat("n_point is ", k, ", but the pool has ", pool, " points"));
  }
  switch (options.sampling) {
    case PointSampling::kRandom:
      return random.Choice(pool, k, /*replace=*/false);
    case PointSampling::kFps: {
      if (!pools.fps_order.empty()) return StoredFarthest(pools.fps_order, pool, k, random);
      const std::vector<int32_t> order = FarthestPointOrder(pools.xyz, k);
      return std::vector<int64_t>(order.begin(), order.end());
    }
    case PointSampling::kRfps:
      return RandomFarthest(pools, k, options.rfps_m, random);
    case PointSampling::kGrid: {
      MF_ASSIGN_OR_RETURN(const std::vector<int32_t> nearest, LatticePick(pools.xyz, k));
      return std::vector<int64_t>(nearest.begin(), nearest.end());
    }
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

template <class Random>
absl::StatusOr<Sample> Draw(const Pools& pools, const TokenOptions& options, Random& random) {
  Sample sample;
  MF_ASSIGN_OR_RETURN(const std::vector<int64_t> points, DrawPoints(pools, options, random));
  MF_ASSIGN_OR_RETURN(const std::vector<int64_t> rays, DrawRays(pools, options.n_ray, random));
  sample.rays_missing = !pools.ray_available || options.force_missing_ray;
  if (!sample.rays_missing && options.drop_ray_prob > 0 && options.n_ray > 0) {
    sample.rays_missing = random.Double() < options.drop_ray_prob;
  }
  sample.points = Pick(points, MortonOrder(GatherRows(pools.xyz, points)));
  sample.rays = Pick(rays, RayOrder(GatherRows(pools.ray_d, rays)));
  return sample;
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
  parts.xyz = GatherRows(pools.xyz, sample.points);
  parts.distance = options.ablate_point_dist ? std::vector<float>(sample.points.size())
                                             : Gather(pools.distance, sample.points);
  parts.rays_missing = sample.rays_missing;
  parts.ray_o = GatherRows(pools.ray_o, sample.rays);
  // Missing rays keep their place in the sequence, and nothing else.
  if (sample.rays_missing) return parts;
  parts.ray_d = GatherRows(pools.ray_d, sample.rays);
  parts.ray_n = GatherRows(pools.ray_n, sample.rays);
  parts.ray_hit = Gather(pools.ray_hit, sample.rays);
  parts.ray_t = Gather(pools.ray_t, sample.rays);
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

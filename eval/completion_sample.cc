#include "eval/completion_sample.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "geometry/grid.h"
#include "geometry/nearest.h"
#include "geometry/ordering.h"

namespace manyform {
namespace {

absl::StatusOr<std::vector<int64_t>> ChooseFromPool(int64_t pool, int64_t n, NumpyRandomState& random) {
  return random.Choice(pool, n, /*replace=*/pool < n);
}

absl::StatusOr<std::vector<int64_t>> ChooseAmong(const std::vector<int64_t>& items, int64_t n,
                                                 NumpyRandomState& random) {
  std::vector<int64_t> chosen;
  if (n == 0) return chosen;
  MF_ASSIGN_OR_RETURN(chosen, random.Choice(static_cast<int64_t>(items.size()), n, /*replace=*/false));
  for (int64_t& item : chosen) item = items[item];
  return chosen;
}

absl::StatusOr<std::vector<int64_t>> ChooseVoxels(const CompletionTarget& target,
                                                  const CompletionOptions& options,
                                                  NumpyRandomState& random) {
  const int64_t voxels = static_cast<int64_t>(target.grid.size()), n = std::min(options.n_query, voxels);
  if (!options.near_surface) return random.Choice(voxels, n, /*replace=*/false);
  const float tau = static_cast<float>(options.near_tau);
  std::vector<int64_t> near, far;
  for (int64_t v = 0; v < voxels; ++v) (target.grid[v] <= tau ? near : far).push_back(v);
  // Python's round: half to even. What one side lacks the other gives.
  const int64_t wanted = std::llrint(static_cast<double>(n) * options.near_frac);
  int64_t n_near = std::min(wanted, static_cast<int64_t>(near.size()));
  const int64_t n_far = std::min(n - n_near, static_cast<int64_t>(far.size()));
  n_near = n - n_far;
  MF_ASSIGN_OR_RETURN(std::vector<int64_t> chosen, ChooseAmong(near, n_near, random));
  MF_ASSIGN_OR_RETURN(const std::vector<int64_t> rest, ChooseAmong(far, n_far, random));
  chosen.insert(chosen.end(), rest.begin(), rest.end());
  random.Shuffle(std::span(chosen));
  return chosen;
}

PointsF Rows(const PointsFMap& points, std::span<const int64_t> indices) {
  PointsF rows(static_cast<Eigen::Index>(indices.size()), 3);
  for (size_t i = 0; i < indices.size(); ++i) rows.row(static_cast<Eigen::Index>(i)) = points.row(indices[i]);
  return rows;
}

void SortByMorton(PointsF* points, std::vector<float>* distances) {
  const std::vector<int32_t> order = MortonOrder(*points);
  const PointsF unsorted = *points;
  const std::vector<float> before = *distances;
  for (size_t i = 0; i < order.size(); ++i) {
    points->row(static_cast<Eigen::Index>(i)) = unsorted.row(order[i]);
    (*distances)[i] = before[order[i]];
  }
}

std::vector<float> Values(std::span<const float> values, std::span<const int64_t> indices) {
  std::vector<float> picked;
  picked.reserve(indices.size());
  for (const int64_t i : indices) picked.push_back(values[i]);
  return picked;
}

absl::Status CheckSizes(const Pools& context, const CompletionTarget& target,
                        const CompletionOptions& options) {
  const int64_t pool = context.xyz.rows(), g = target.g;
  if (pool == 0 || static_cast<int64_t>(context.distance.size()) != pool)
    return absl::InvalidArgumentError("the context's point pool is empty or lacks distances");
  if (options.grid && (g < 1 || static_cast<int64_t>(target.grid.size()) != g * g * g))
    return absl::InvalidArgumentError(
        absl::StrCat("a distance grid of ", target.grid.size(), " values is no cube of side ", g));
  if (!options.grid && static_cast<int64_t>(target.pool_distance.size()) != pool)
    return absl::InvalidArgumentError(
        absl::StrCat(target.pool_distance.size(), " target distances for ", pool, " pool points"));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CompletionSample> DrawCompletion(const Pools& context, const CompletionTarget& target,
                                                const CompletionOptions& options, NumpyRandomState& random) {
  MF_RETURN_IF_ERROR(CheckSizes(context, target, options));
  const int64_t pool = context.xyz.rows(), pool_queries = options.grid ? 0 : options.n_query;
  CompletionSample sample;
  if (options.disjoint) {
    MF_ASSIGN_OR_RETURN(std::vector<int64_t> both,
                        ChooseFromPool(pool, options.n_context + pool_queries, random));
    sample.query_indices.assign(both.begin() + options.n_context, both.end());
    both.resize(options.n_context);
    sample.context_indices = std::move(both);
  } else {
    MF_ASSIGN_OR_RETURN(sample.context_indices, ChooseFromPool(pool, options.n_context, random));
    if (pool_queries > 0) {
      MF_ASSIGN_OR_RETURN(sample.query_indices, ChooseFromPool(pool, pool_queries, random));
    }
  }
  sample.context_xyz = Rows(context.xyz, sample.context_indices);
  sample.context_distance = Values(context.distance, sample.context_indices);
  if (options.grid) {
    MF_ASSIGN_OR_RETURN(sample.query_indices, ChooseVoxels(target, options, random));
    sample.query_xyz = VoxelCentres(sample.query_indices, target.g);
    sample.query_distance = Values(target.grid, sample.query_indices);
  } else {
    sample.query_xyz = Rows(context.xyz, sample.query_indices);
    sample.query_distance = Values(target.pool_distance, sample.query_indices);
  }
  SortByMorton(&sample.context_xyz, &sample.context_distance);
  SortByMorton(&sample.query_xyz, &sample.query_distance);
  return sample;
}

PointsF VoxelCentres(std::span<const int64_t> voxels, int g) {
  // GridCentres' arithmetic, for a few of its rows.
  const auto centre = [g](int64_t i) { return (static_cast<float>(i) + 0.5f) * VoxelSize(g) - 1.0f; };
  PointsF centres(static_cast<Eigen::Index>(voxels.size()), 3);
  for (size_t i = 0; i < voxels.size(); ++i) {
    const int64_t v = voxels[i];
    centres.row(static_cast<Eigen::Index>(i)) << centre(v / g / g), centre(v / g % g), centre(v % g);
  }
  return centres;
}

void WriteCompletionTokens(const PointsF& context_xyz, std::span<const float> context_distance,
                           const PointsF& query_xyz, const LayoutOptions& layout, std::span<float> feat,
                           std::span<uint8_t> type) {
  SequenceParts parts;
  parts.xyz.resize(context_xyz.rows() + query_xyz.rows(), 3);
  parts.xyz << context_xyz, query_xyz;
  parts.distance.assign(context_distance.begin(), context_distance.end());
  parts.distance.resize(parts.xyz.rows(), 0.0f);
  parts.ray_o.resize(0, 3);
  parts.ray_d.resize(0, 3);
  parts.ray_n.resize(0, 3);
  LayOutTokens(parts, layout, feat, type);
}

std::vector<int64_t> QueryTokenPositions(int64_t n_context, int64_t n_query, const LayoutOptions& layout) {
  const int64_t stride = layout.qa_tokens && layout.qa_layout == QaLayout::kInterleave ? 2 : 1;
  std::vector<int64_t> positions(n_query);
  for (int64_t i = 0; i < n_query; ++i) positions[i] = 1 + stride * (n_context + i);
  return positions;
}

absl::StatusOr<std::vector<float>> CopyNearest(const PointsF& context_xyz,
                                               std::span<const float> context_distance,
                                               const PointsF& query_xyz) {
  MF_ASSIGN_OR_RETURN(const NearestPoints context, NearestPoints::Create(context_xyz));
  std::vector<float> copied;
  copied.reserve(query_xyz.rows());
  for (const int32_t nearest : context.Indices(query_xyz)) copied.push_back(context_distance[nearest]);
  return copied;
}

}  // namespace manyform

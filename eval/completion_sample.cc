#include "eval/completion_sample.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "geometry/nearest.h"
#include "geometry/ordering.h"

namespace manyform {
namespace {

absl::StatusOr<std::vector<int64_t>> ChooseFromPool(int64_t pool, int64_t n, NumpyRandomState& random) {
  return random.Choice(pool, n, /*replace=*/pool < n);
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

absl::Status CheckPool(const Pools& pools) {
  if (pools.xyz.rows() == 0 || static_cast<int64_t>(pools.distance.size()) != pools.xyz.rows())
    return absl::InvalidArgumentError("the context's point pool is empty or lacks distances");
  return absl::OkStatus();
}

absl::Status CheckSizes(const Pools& context, const CompletionTarget& target,
                        const CompletionOptions& options) {
  MF_RETURN_IF_ERROR(CheckPool(context));
  const int64_t pool = context.xyz.rows(), g = target.g;
  if (options.VoxelQueries() > 0 && (g < 1 || static_cast<int64_t>(target.grid.size()) != g * g * g))
    return absl::InvalidArgumentError(
        absl::StrCat("a distance grid of ", target.grid.size(), " values is no cube of side ", g));
  if (options.PoolQueries() > 0 && static_cast<int64_t>(target.pool_distance.size()) != pool)
    return absl::InvalidArgumentError(
        absl::StrCat(target.pool_distance.size(), " target distances for ", pool, " pool points"));
  return absl::OkStatus();
}

/// The first draws: which points of the shape's pool are told, and which are asked.
absl::Status DrawPool(int64_t pool, const CompletionOptions& options, NumpyRandomState& random,
                      CompletionSample* sample) {
  const int64_t asked = options.PoolQueries();
  if (options.disjoint && options.context_mode == ContextMode::kNormal) {
    MF_ASSIGN_OR_RETURN(std::vector<int64_t> both, ChooseFromPool(pool, options.n_context + asked, random));
    sample->query_indices.assign(both.begin() + options.n_context, both.end());
    both.resize(options.n_context);
    sample->context_indices = std::move(both);
    return absl::OkStatus();
  }
  MF_ASSIGN_OR_RETURN(sample->context_indices, ChooseFromPool(pool, options.n_context, random));
  if (asked > 0) {
    MF_ASSIGN_OR_RETURN(sample->query_indices, ChooseFromPool(pool, asked, random));
  }
  return absl::OkStatus();
}

absl::Status DrawContext(const Pools& context, const Pools* other, const CompletionOptions& options,
                         NumpyRandomState& random, CompletionSample* sample) {
  const Pools* told = &context;
  switch (options.context_mode) {
    case ContextMode::kNormal:
      break;
    case ContextMode::kNone:
      sample->context_indices.clear();
      break;
    case ContextMode::kMismatch:
      if (other == nullptr) return absl::InvalidArgumentError("no other shape to take the context from");
      MF_RETURN_IF_ERROR(CheckPool(*other));
      told = other;
      MF_ASSIGN_OR_RETURN(sample->context_indices,
                          ChooseFromPool(other->xyz.rows(), options.n_context, random));
  }
  sample->context_xyz = Rows(told->xyz, sample->context_indices);
  sample->context_distance = Values(told->distance, sample->context_indices);
  return absl::OkStatus();
}

}  // namespace

int64_t CompletionOptions::PoolQueries() const {
  return std::llrint(pool_fraction * static_cast<double>(n_query));
}

absl::StatusOr<CompletionSample> DrawCompletion(const Pools& context, const Pools* other,
                                                const CompletionTarget& target,
                                                const CompletionOptions& options, NumpyRandomState& random) {
  MF_RETURN_IF_ERROR(CheckSizes(context, target, options));
  CompletionSample sample;
  MF_RETURN_IF_ERROR(DrawPool(context.xyz.rows(), options, random, &sample));
  MF_RETURN_IF_ERROR(DrawContext(context, other, options, random, &sample));
  const int64_t on_grid = options.VoxelQueries();
  GridQueries grid = {.xyz = PointsF(0, 3)};
  if (on_grid > 0) {
    MF_ASSIGN_OR_RETURN(grid, DrawGridQueries(target.grid, target.g, on_grid, options.grid, random));
  }
  const PointsF pool_xyz = Rows(context.xyz, sample.query_indices);
  sample.query_xyz.resize(pool_xyz.rows() + grid.xyz.rows(), 3);
  sample.query_xyz << pool_xyz, grid.xyz;
  if (!sample.query_indices.empty())
    sample.query_distance = Values(target.pool_distance, sample.query_indices);
  sample.query_indices.insert(sample.query_indices.end(), grid.voxels.begin(), grid.voxels.end());
  sample.query_distance.insert(sample.query_distance.end(), grid.distance.begin(), grid.distance.end());
  SortByMorton(&sample.context_xyz, &sample.context_distance);
  SortByMorton(&sample.query_xyz, &sample.query_distance);
  return sample;
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
  if (context_distance.empty()) return std::vector<float>(query_xyz.rows(), 0.0f);
  MF_ASSIGN_OR_RETURN(const NearestPoints context, NearestPoints::Create(context_xyz));
  std::vector<float> copied;
  copied.reserve(query_xyz.rows());
  for (const int32_t nearest : context.Indices(query_xyz)) copied.push_back(context_distance[nearest]);
  return copied;
}

}  // namespace manyform

/// \file
/// Field completion, one shape: which points are told with their distance, and where the distance is asked.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/numpy_random.h"
#include "data/backends.h"
#include "data/tokens.h"
#include "eval/grid_queries.h"
#include "geometry/types.h"

namespace manyform {

/// What is told of a shape: its own points, nothing, or the points of another.
enum class ContextMode { kNormal, kNone, kMismatch };

struct CompletionOptions {
  int64_t n_context = 256, n_query = 256;
  ContextMode context_mode = ContextMode::kNormal;
  bool disjoint = true;  ///< pool queries are not context points; of kNormal
  /// Share of the queries that are pool points; the rest are points of the grid.
  double pool_fraction = 1;
  GridQueryOptions grid;

  /// round(pool_fraction n_query), half to even.
  int64_t PoolQueries() const;
  int64_t VoxelQueries() const { return n_query - PoolQueries(); }
  /// Points told: n_context, or none.
  int64_t ContextPoints() const { return context_mode == ContextMode::kNone ? 0 : n_context; }
};

/// The shape's own distances: of the pool points and of a side-g grid, where there are queries of them.
struct CompletionTarget {
  std::span<const float> pool_distance;
  std::span<const float> grid;
  int g = 0;
};

struct CompletionSample {
  /// As drawn: pool indices (of the other shape, if it gives the context), and pool indices followed by flat
  /// voxel indices.
  std::vector<int64_t> context_indices, query_indices;
  /// In the order of a sequence: by Morton code.
  PointsF context_xyz, query_xyz;
  std::vector<float> context_distance, query_distance;
};

/// Draws in the published order: context and pool queries in one choice if they are to be disjoint, else one
/// after the other (the context also where it is not told); the other shape's context, if it is to mislead;
/// then the grid's. More points than the pool has are drawn with replacement. The grid gives at most g^3.
/// `other`: whose points are told, for kMismatch. \error InvalidArgument for an empty pool, or a target whose
/// size is not the pool's or g^3.
absl::StatusOr<CompletionSample> DrawCompletion(const Pools& context, const Pools* other,
                                                const CompletionTarget& target,
                                                const CompletionOptions& options, NumpyRandomState& random);

/// BOS, context with distances, `query_xyz` with none, EOS: \pre the spans have SequenceLength rows
void WriteCompletionTokens(const PointsF& context_xyz, std::span<const float> context_distance,
                           const PointsF& query_xyz, const LayoutOptions& layout, std::span<float> feat,
                           std::span<uint8_t> type);
/// Where the query tokens of WriteCompletionTokens stand in the sequence.
std::vector<int64_t> QueryTokenPositions(int64_t n_context, int64_t n_query, const LayoutOptions& layout);

/// The distance of the nearest context point, for each query; 0 where nothing is told. \error InvalidArgument
/// as NearestPoints.
absl::StatusOr<std::vector<float>> CopyNearest(const PointsF& context_xyz,
                                               std::span<const float> context_distance,
                                               const PointsF& query_xyz);

}  // namespace manyform

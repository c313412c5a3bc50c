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
#include "geometry/types.h"

namespace manyform {

struct CompletionOptions {
  int64_t n_context = 256, n_query = 256;
  bool disjoint = true;  ///< pool queries are not context points
  bool grid = false;     ///< queries are voxel centres, not pool points
  /// Voxels: round(near_frac n) with distance <= near_tau, the rest farther; otherwise all alike.
  bool near_surface = false;
  double near_tau = 0.05, near_frac = 0.7;
};

/// The shape's own distances: of the pool points (pool queries) or of a side-g grid (grid queries).
struct CompletionTarget {
  std::span<const float> pool_distance;
  std::span<const float> grid;
  int g = 0;
};

struct CompletionSample {
  /// As drawn: pool indices, and pool indices or flat voxel indices.
  std::vector<int64_t> context_indices, query_indices;
  /// In the order of a sequence: by Morton code.
  PointsF context_xyz, query_xyz;
  std::vector<float> context_distance, query_distance;
};

/// Draws in the published order: context and pool queries in one choice if they are to be disjoint, else one
/// after the other; then voxels. More points than the pool has are drawn with replacement. The number of
/// voxels is min(n_query, g^3). \error InvalidArgument for an empty pool, or a target whose size is not the
/// pool's or g^3.
absl::StatusOr<CompletionSample> DrawCompletion(const Pools& context, const CompletionTarget& target,
                                                const CompletionOptions& options, NumpyRandomState& random);

/// Centres of voxels (ix g + iy) g + iz of the grid over [-1,1]^3.
PointsF VoxelCentres(std::span<const int64_t> voxels, int g);

/// BOS, context with distances, `query_xyz` with none, EOS: \pre the spans have SequenceLength rows
void WriteCompletionTokens(const PointsF& context_xyz, std::span<const float> context_distance,
                           const PointsF& query_xyz, const LayoutOptions& layout, std::span<float> feat,
                           std::span<uint8_t> type);
/// Where the query tokens of WriteCompletionTokens stand in the sequence.
std::vector<int64_t> QueryTokenPositions(int64_t n_context, int64_t n_query, const LayoutOptions& layout);

/// The distance of the nearest context point, for each query. \error InvalidArgument as NearestPoints.
absl::StatusOr<std::vector<float>> CopyNearest(const PointsF& context_xyz,
                                               std::span<const float> context_distance,
                                               const PointsF& query_xyz);

}  // namespace manyform

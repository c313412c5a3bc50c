/// \file
/// Which points of a distance grid are asked: the four samplers of field completion.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/numpy_random.h"
#include "geometry/types.h"

namespace manyform {

enum class GridSampling { kUniform, kNearSurface, kStratified, kCoarseToFine };

struct GridQueryOptions {
  GridSampling sampling = GridSampling::kUniform;
  /// kNearSurface: round(near_frac n) voxels with distance <= near_tau, the rest farther. kCoarseToFine:
  /// cells with distance <= near_tau have children.
  double near_tau = 0.05, near_frac = 0.7;
  /// kCoarseToFine: resolutions from coarse to fine, how far a child may stray in cells of its parent, and
  /// the stages' shares of the samples (1, 2, 3 ... unless there is one for each stage).
  std::vector<int> resolutions = {16, 32, 64};
  int expand = 1;
  std::vector<double> stage_weights;
};

/// "uniform", "near_surface", "stratified" or "coarse_to_fine". \error InvalidArgument with these.
absl::StatusOr<GridSampling> ParseGridSampling(const std::string& name);
/// Published lists, "16,32,64" and "3,1,2": whole numbers from 1, and numbers from 0 of which one is
/// positive. Empty: none. \error InvalidArgument naming the entry.
absl::StatusOr<std::vector<int>> ParseResolutions(const std::string& text);
absl::StatusOr<std::vector<double>> ParseStageWeights(const std::string& text);

/// As drawn. Coarse-to-fine samples stand at cell centres of their stage's resolution; `voxels` are then the
/// ones whose distance they take.
struct GridQueries {
  std::vector<int64_t> voxels;  ///< flat: (ix g + iy) g + iz
  PointsF xyz;
  std::vector<float> distance;
};

/// min(n, g^3) queries of a grid over [-1,1]^3, in the published order of draws. \pre grid has g^3 values
/// \error InvalidArgument for kCoarseToFine without resolutions, and kStratified with NaN in the grid.
absl::StatusOr<GridQueries> DrawGridQueries(std::span<const float> grid, int g, int64_t n,
                                            const GridQueryOptions& options, NumpyRandomState& random);

/// The resolutions clipped to [2,g], each once in a row: the stages of kCoarseToFine.
std::vector<int> GridStages(const std::vector<int>& resolutions, int g);
/// Shares of n proportional to `weights` by largest remainder; equal remainders go to the first.
std::vector<int64_t> StageCounts(int64_t n, std::span<const double> weights);

/// Centres of voxels (ix g + iy) g + iz of the grid over [-1,1]^3.
PointsF VoxelCentres(std::span<const int64_t> voxels, int g);

}  // namespace manyform

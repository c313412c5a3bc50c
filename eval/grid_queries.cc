#include "eval/grid_queries.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "geometry/grid.h"

namespace manyform {
namespace {

using Indices = std::vector<int64_t>;

absl::StatusOr<Indices> ChooseAmong(const Indices& items, int64_t n, NumpyRandomState& random) {
  Indices chosen;
  if (n == 0) return chosen;
  MF_ASSIGN_OR_RETURN(chosen, random.Choice(static_cast<int64_t>(items.size()), n, /*replace=*/false));
  for (int64_t& item : chosen) item = items[item];
  return chosen;
}

void Append(const Indices& more, Indices* all) { all->insert(all->end(), more.begin(), more.end()); }

absl::StatusOr<Indices> NearSurface(std::span<const float> grid, int64_t n, const GridQueryOptions& options,
                                    NumpyRandomState& random) {
  const float tau = static_cast<float>(options.near_tau);
  Indices near, far;
  for (size_t v = 0; v < grid.size(); ++v) (grid[v] <= tau ? near : far).push_back(static_cast<int64_t>(v));
  // Python's round: half to even. What one side lacks the other gives.
  const int64_t wanted = std::llrint(static_cast<double>(n) * options.near_frac);
  int64_t n_near = std::min(wanted, static_cast<int64_t>(near.size()));
  const int64_t n_far = std::min(n - n_near, static_cast<int64_t>(far.size()));
  n_near = n - n_far;
  MF_ASSIGN_OR_RETURN(Indices chosen, ChooseAmong(near, n_near, random));
  MF_ASSIGN_OR_RETURN(const Indices rest, ChooseAmong(far, n_far, random));
  Append(rest, &chosen);
  random.Shuffle(std::span(chosen));
  return chosen;
}

/// NumPy's linear quantile of f32 values: the difference in f32, the rest in double.
float Quantile(const std::vector<float>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const float a = sorted[low], b = sorted[std::min(low + 1, sorted.size() - 1)];
  const double t = at - static_cast<double>(low), step = double{b - a};
  return static_cast<float>(t < 0.5 ? a + step * t : b - step * (1 - t));
}

absl::StatusOr<Indices> Stratified(std::span<const float> grid, int64_t n, NumpyRandomState& random) {
  constexpr int kBins = 5;
  std::vector<float> sorted(grid.begin(), grid.end());
  if (std::any_of(sorted.begin(), sorted.end(), [](float d) { return std::isnan(d); }))
    return absl::InvalidArgumentError("a distance grid with NaN has no quantiles to stratify by");
  std::sort(sorted.begin(), sorted.end());
  std::array<float, kBins - 1> edges;
  constexpr std::array<double, kBins - 1> kAt = {0.2, 0.4, 0.6, 0.8};
  for (size_t i = 0; i < edges.size(); ++i) edges[i] = Quantile(sorted, kAt[i]);
  std::array<Indices, kBins> bins;
  for (size_t v = 0; v < grid.size(); ++v) {
    const auto bin = std::count_if(edges.begin(), edges.end(), [&](float edge) { return edge < grid[v]; });
    bins[bin].push_back(static_cast<int64_t>(v));
  }
  Indices chosen;
  for (int b = 0; b < kBins; ++b) {
    const int64_t wanted = n / kBins + (b < n % kBins ? 1 : 0);
    if (wanted == 0) continue;
    Indices drawn;
    if (static_cast<int64_t>(bins[b].size()) >= wanted) {
      MF_ASSIGN_OR_RETURN(drawn, ChooseAmong(bins[b], wanted, random));
    } else {
      MF_ASSIGN_OR_RETURN(drawn, random.Choice(static_cast<int64_t>(grid.size()), wanted, false));
    }
    Append(drawn, &chosen);
  }
  random.Shuffle(std::span(chosen));
  return chosen;
}

/// The voxel of side-g `grid` whose centre is nearest to each point; halves go to the even one.
Indices NearestVoxels(const PointsF& xyz, int g) {
  const auto along = [g](float x) {
    const float u = (x + 1.0f) / VoxelSize(g) - 0.5f;
    return std::clamp<int64_t>(std::lrintf(u), 0, g - 1);
  };
  Indices voxels;
  voxels.reserve(xyz.rows());
  for (Eigen::Index i = 0; i < xyz.rows(); ++i)
    voxels.push_back((along(xyz(i, 0)) * g + along(xyz(i, 1))) * g + along(xyz(i, 2)));
  return voxels;
}

/// Those of `cells` of a side-`resolution` grid that are near the surface; all if none is.
Indices NearCells(std::span<const float> grid, int g, const Indices& cells, int resolution, float tau) {
  const Indices voxels = NearestVoxels(VoxelCentres(cells, resolution), g);
  Indices near;
  for (size_t i = 0; i < cells.size(); ++i)
    if (grid[voxels[i]] <= tau) near.push_back(cells[i]);
  return near.empty() ? cells : near;
}

/// A cell of the finer grid in each drawn parent, or in a neighbour up to `expand` cells away.
Indices DrawChildren(const Indices& parents, int64_t n, int coarse, int fine, int expand,
                     NumpyRandomState& random) {
  const Indices which = random.RandIntVector(0, static_cast<int64_t>(parents.size()), n);
  Indices stray(3 * n, 0);
  if (expand > 0) stray = random.RandIntVector(-expand, int64_t{expand} + 1, 3 * n);
  Indices children(n, 0);
  int64_t weight = int64_t{coarse} * coarse;  // of this axis in a parent's flat index
  for (int axis = 0; axis < 3; ++axis, weight /= coarse) {
    const std::vector<double> within = random.Rand(n);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t parent =
          std::clamp<int64_t>(parents[which[i]] / weight % coarse + stray[3 * i + axis], 0, coarse - 1);
      const int64_t first = parent * fine / coarse;
      const int64_t end = std::max(((parent + 1) * fine + coarse - 1) / coarse, first + 1);
      const auto offset = static_cast<int64_t>(within[i] * static_cast<double>(end - first));
      children[i] = children[i] * fine + first + offset;
    }
  }
  return children;
}

absl::StatusOr<GridQueries> CoarseToFine(std::span<const float> grid, int g, int64_t n,
                                         const GridQueryOptions& options, NumpyRandomState& random) {
  const std::vector<int> stages = GridStages(options.resolutions, g);
  if (stages.empty()) return absl::InvalidArgumentError("coarse_to_fine needs a resolution");
  std::vector<double> weights = options.stage_weights;
  if (weights.size() != stages.size()) {
    weights.resize(stages.size());
    std::iota(weights.begin(), weights.end(), 1.0);
  }
  const std::vector<int64_t> counts = StageCounts(n, weights);
  const float tau = static_cast<float>(options.near_tau);

  GridQueries queries;
  queries.xyz.resize(n, 3);
  Indices parents(int64_t{stages[0]} * stages[0] * stages[0]);
  std::iota(parents.begin(), parents.end(), 0);
  Eigen::Index row = 0;
  for (size_t s = 0; s < stages.size(); ++s) {
    const int resolution = stages[s];
    Indices cells;
    if (s == 0) {
      const auto all = static_cast<int64_t>(parents.size());
      MF_ASSIGN_OR_RETURN(cells, random.Choice(all, counts[s], /*replace=*/all < counts[s]));
    } else {
      cells = DrawChildren(parents, counts[s], stages[s - 1], resolution, options.expand, random);
    }
    queries.xyz.middleRows(row, counts[s]) = VoxelCentres(cells, resolution);
    row += counts[s];
    // The children of the first stage come from its whole grid, later ones from what was drawn.
    if (s > 0 && !cells.empty()) parents = std::move(cells);
    if (s + 1 < stages.size()) parents = NearCells(grid, g, parents, resolution, tau);
  }
  queries.voxels = NearestVoxels(queries.xyz, g);
  return queries;
}

}  // namespace

absl::StatusOr<GridSampling> ParseGridSampling(const std::string& name) {
  if (name == "uniform") return GridSampling::kUniform;
  if (name == "near_surface") return GridSampling::kNearSurface;
  if (name == "stratified") return GridSampling::kStratified;
  if (name == "coarse_to_fine") return GridSampling::kCoarseToFine;
  return absl::InvalidArgumentError(absl::StrCat(
      "grid_sample_mode is uniform, near_surface, stratified or coarse_to_fine, not \"", name, "\""));
}

absl::StatusOr<std::vector<int>> ParseResolutions(const std::string& text) {
  std::vector<int> resolutions;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    int value;
    if (!absl::SimpleAtoi(part, &value) || value < 1 || value > 1024) {
      return absl::InvalidArgumentError(
          absl::StrCat("grid_res_schedule lists whole numbers from 1 to 1024, not \"", part, "\""));
    }
    resolutions.push_back(value);
  }
  return resolutions;
}

absl::StatusOr<std::vector<double>> ParseStageWeights(const std::string& text) {
  std::vector<double> weights;
  double sum = 0;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    double value;
    if (!absl::SimpleAtod(part, &value) || !std::isfinite(value) || value < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("grid_c2f_stage_weights lists numbers from 0, not \"", part, "\""));
    }
    weights.push_back(value);
    sum += value;
  }
  if (!weights.empty() && !(sum > 0 && std::isfinite(sum)))
    return absl::InvalidArgumentError("grid_c2f_stage_weights needs one above 0");
  return weights;
}

std::vector<int> GridStages(const std::vector<int>& resolutions, int g) {
  std::vector<int> stages;
  for (const int resolution : resolutions) {
    const int clipped = std::min(std::max(resolution, 2), g);
    if (stages.empty() || stages.back() != clipped) stages.push_back(clipped);
  }
  return stages;
}

std::vector<int64_t> StageCounts(int64_t n, std::span<const double> weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<int64_t> counts(weights.size());
  std::vector<double> remainder(weights.size());
  int64_t left = n;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double share = static_cast<double>(n) * weights[i] / sum;
    counts[i] = static_cast<int64_t>(share);
    remainder[i] = share - static_cast<double>(counts[i]);
    left -= counts[i];
  }
  std::vector<size_t> order(weights.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&remainder](size_t a, size_t b) { return remainder[a] > remainder[b]; });
  for (size_t i = 0; left > 0; i = (i + 1) % order.size(), --left) ++counts[order[i]];
  return counts;
}

absl::StatusOr<GridQueries> DrawGridQueries(std::span<const float> grid, int g, int64_t n,
                                            const GridQueryOptions& options, NumpyRandomState& random) {
  const auto voxels = static_cast<int64_t>(grid.size());
  n = std::min(n, voxels);
  GridQueries queries;
  switch (options.sampling) {
    case GridSampling::kUniform: {
      MF_ASSIGN_OR_RETURN(queries.voxels, random.Choice(voxels, n, /*replace=*/false));
      break;
    }
    case GridSampling::kNearSurface: {
      MF_ASSIGN_OR_RETURN(queries.voxels, NearSurface(grid, n, options, random));
      break;
    }
    case GridSampling::kStratified: {
      MF_ASSIGN_OR_RETURN(queries.voxels, Stratified(grid, n, random));
      break;
    }
    case GridSampling::kCoarseToFine: {
      MF_ASSIGN_OR_RETURN(queries, CoarseToFine(grid, g, n, options, random));
      break;
    }
  }
  if (queries.xyz.rows() == 0) queries.xyz = VoxelCentres(queries.voxels, g);
  queries.distance.reserve(queries.voxels.size());
  for (const int64_t voxel : queries.voxels) queries.distance.push_back(grid[voxel]);
  return queries;
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

}  // namespace manyform

#include "eval/mesh_evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/log.h"
#include "base/numpy_random.h"
#include "base/status_macros.h"
#include "data/mesh_writer.h"
#include "geometry/grid.h"
#include "geometry/marching_cubes.h"
#include "geometry/nearest.h"
#include "geometry/sampling.h"
#include "geometry/surface_metrics.h"

namespace manyform {
namespace {

struct Surface {
  TriangleMesh mesh;
  SurfacePoints points;
};

/// \error NotFound without a surface at the level.
absl::StatusOr<Surface> SampledSurface(std::span<const float> grid, const MeshEvaluationOptions& options,
                                       uint32_t seed) {
  Surface surface;
  MF_ASSIGN_OR_RETURN(
      surface.mesh,
      ExtractIsosurface(grid, options.resolution, CellCentreIsosurface(options.resolution, options.level)));
  if (surface.mesh.faces.rows() == 0)
    return absl::NotFoundError(absl::StrCat("has no surface at ", options.level));
  NumpyRandomState random(seed);
  MF_ASSIGN_OR_RETURN(const SurfaceSamples samples, SampleSurface(surface.mesh, options.samples, random));
  surface.points = SurfacePointsOf(surface.mesh, samples);
  return surface;
}

absl::Status SaveMesh(const MeshEvaluationOptions& options, const std::string& key, const char* name,
                      const TriangleMesh& mesh) {
  if (options.save_dir.empty()) return absl::OkStatus();
  const std::string folder = absl::StrCat(options.save_dir, "/", key);
  MF_RETURN_IF_ERROR(MakeDirectories(folder));
  return WriteMesh(absl::StrCat(folder, "/", name, ".ply"), mesh);
}

absl::Status CompareShape(const CompletionRun& run, int64_t i, const FieldPredictor& predict,
                          const MeshEvaluationOptions& options, const PointsF& centres, ShapeMeshes* shape) {
  MF_ASSIGN_OR_RETURN(const CompletionSample context, SampleShape(run, i));
  MF_ASSIGN_OR_RETURN(const DistanceGrid grid, LoadDistanceGrid(*run.shapes, run.members[i]));
  std::vector<float> predicted = predict(context, centres);
  for (float& d : predicted) d = std::max(d, 0.0f);
  const auto field = SampledSurface(predicted, options, options.seed);
  const auto truth = SampledSurface(ResampleGrid(grid, options.resolution), options, options.seed + 1);
  if (field.ok()) MF_RETURN_IF_ERROR(SaveMesh(options, shape->key(), "predicted", field->mesh));
  if (truth.ok()) MF_RETURN_IF_ERROR(SaveMesh(options, shape->key(), "truth", truth->mesh));
  if (!field.ok() || !truth.ok()) {
    shape->set_error(field.ok() ? absl::StrCat("the true field ", truth.status().message())
                                : absl::StrCat("the predicted field ", field.status().message()));
    return absl::OkStatus();
  }
  MF_ASSIGN_OR_RETURN(const SurfaceMetrics metrics,
                      CompareSurfaces(field->points, truth->points, options.taus));
  shape->set_ok(true);
  shape->set_chamfer_l1(metrics.chamfer_l1);
  shape->set_chamfer_l2(metrics.chamfer_l2);
  shape->set_normal_consistency(metrics.normal_consistency);
  for (const FScore& score : metrics.f_scores) shape->add_fscore(score.score);
  return absl::OkStatus();
}

MetricSummary Summarize(const std::string& name, const std::vector<double>& values) {
  MetricSummary summary;
  summary.set_metric(name);
  summary.set_n(static_cast<int64_t>(values.size()));
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const auto n = static_cast<double>(values.size());
  const double mean = values.empty() ? kNone : std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  summary.set_mean(mean);
  summary.set_std(values.empty() ? kNone : std::sqrt(squares / n));
  return summary;
}

void AddSummaries(const MeshEvaluationOptions& options, MeshEvaluation* all) {
  const auto add = [all](const std::string& name, const auto& value_of) {
    std::vector<double> values;
    for (const ShapeMeshes& shape : all->per_shape())
      if (shape.ok()) values.push_back(value_of(shape));
    *all->add_summary() = Summarize(name, values);
  };
  add("chamfer_l2", [](const ShapeMeshes& shape) { return shape.chamfer_l2(); });
  add("chamfer_l1", [](const ShapeMeshes& shape) { return shape.chamfer_l1(); });
  for (size_t t = 0; t < options.taus.size(); ++t) {
    // The published name is that of the first; further ones say their tau.
    const std::string name = t == 0 ? "fscore" : absl::StrCat("fscore@", options.taus[t]);
    add(name, [t](const ShapeMeshes& shape) { return shape.fscore(static_cast<int>(t)); });
  }
  add("normal_consistency", [](const ShapeMeshes& shape) { return shape.normal_consistency(); });
}

}  // namespace

std::vector<float> DistanceToContext(const CompletionSample& context, const PointsF& points) {
  std::vector<float> distances(points.rows());
  const auto nearest = NearestPoints::Create(context.context_xyz);
  if (!nearest.ok()) return std::vector<float>(points.rows(), std::numeric_limits<float>::max());
  const std::vector<int32_t> indices = nearest->Indices(points);
  for (Eigen::Index i = 0; i < points.rows(); ++i)
    distances[i] = (points.row(i) - context.context_xyz.row(indices[i])).norm();
  return distances;
}

std::vector<float> ResampleGrid(const DistanceGrid& grid, int resolution) {
  if (grid.g == resolution) return grid.values;
  return SampleTrilinear(grid.values, grid.g, GridCentres(resolution), GridPosition::kTimesHalfSide);
}

absl::StatusOr<MeshEvaluation> EvaluateMeshes(const CompletionRun& run, const FieldPredictor& predict,
                                              const MeshEvaluationOptions& options) {
  const int64_t shapes = options.most_shapes > 0 ? std::min(options.most_shapes, run.size()) : run.size();
  const PointsF centres = GridCentres(options.resolution);
  MeshEvaluation all;
  Progress progress("comparing surfaces", "shapes", shapes);
  for (int64_t i = 0; i < shapes; ++i) {
    ShapeMeshes* const shape = all.add_per_shape();
    shape->set_key(run.shapes->key(run.members[i]));
    MF_RETURN_IF_ERROR(CompareShape(run, i, predict, options, centres, shape));
    progress.Add(1);
  }
  AddSummaries(options, &all);
  return all;
}

}  // namespace manyform

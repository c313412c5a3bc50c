#include "eval/reconstruct_shape.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/numpy_random.h"
#include "base/png_writer.h"
#include "base/status_macros.h"
#include "data/mesh_writer.h"
#include "data/npy.h"
#include "eval/dense_field.h"
#include "eval/mesh_evaluation.h"
#include "eval/metrics.h"
#include "geometry/grid.h"
#include "geometry/marching_cubes.h"
#include "geometry/render.h"
#include "geometry/sampling.h"
#include "geometry/surface_metrics.h"

namespace manyform {
namespace {

/// Files of one folder, noted in the result as they are written.
class Folder {
 public:
  Folder(std::string path, ReconstructedShape* shape) : path_(std::move(path)), shape_(*shape) {}

  absl::Status Points(const std::string& name, const PointsF& points) {
    return WritePoints(Add(name), points);
  }
  absl::Status Volume(const std::string& name, const std::vector<float>& values, int side) {
    return WriteFileAtomically(Add(name), EncodeNpy(MakeArray<float>(values, {side, side, side})));
  }
  absl::Status Mesh(const std::string& name, const TriangleMesh& mesh) {
    if (mesh.faces.rows() == 0) return absl::OkStatus();
    MF_RETURN_IF_ERROR(WriteMesh(Add(name + ".obj"), mesh));
    return WriteMesh(Add(name + ".ply"), mesh);
  }
  absl::Status Picture(const std::string& name, const Image& image) {
    MF_ASSIGN_OR_RETURN(const std::string png, EncodePng(image));
    return WriteFileAtomically(Add(name), png);
  }

 private:
  std::string Add(const std::string& name) {
    shape_.add_files(name);
    return JoinPath(path_, name);
  }
  std::string path_;
  ReconstructedShape& shape_;
};

/// The scanned points, if the shape has some.
absl::StatusOr<std::optional<PointsF>> ObservedPoints(const CompletionRun& run, int64_t i) {
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const ShapeFile> file, run.shapes->Load(run.members[i]));
  if (!file->Has("pc_xyz")) return std::nullopt;
  MF_ASSIGN_OR_RETURN(const Array array, file->Get("pc_xyz"));
  if (array.shape.size() != 2 || array.shape[1] != 3)
    return absl::DataLossError(absl::StrCat(run.path(i), ": pc_xyz is no list of points"));
  MF_ASSIGN_OR_RETURN(const std::vector<float> values, array.Values<float>());
  return PointsF(Eigen::Map<const PointsF>(values.data(), array.shape[0], 3));
}

absl::StatusOr<TriangleMesh> Surface(const std::vector<float>& field, const ReconstructConfig& config) {
  return ExtractIsosurface(field, config.grid_res(),
                           CellCentreIsosurface(config.grid_res(), config.mc_level()));
}

absl::StatusOr<TriangleMesh> NaiveSurface(const PointsF& told, const PointsF& centres,
                                          const ReconstructConfig& config) {
  CompletionSample context;
  context.context_xyz = told;
  return Surface(DistanceToContext(context, centres), config);
}

void CompareFields(const std::vector<float>& predicted, const std::vector<float>& truth, double level,
                   ReconstructedShape* shape) {
  const FieldError error = CompareDistances(predicted, truth, static_cast<float>(level));
  shape->set_mae_grid(error.mae);
  shape->set_rmse_grid(error.rmse);
  shape->set_iou_at_level(error.iou);
}

absl::Status CompareMeshes(const TriangleMesh& predicted, const TriangleMesh& truth,
                           const ReconstructConfig& config, ReconstructedShape* shape) {
  if (predicted.faces.rows() == 0 || truth.faces.rows() == 0) return absl::OkStatus();
  const auto sample = [&config](const TriangleMesh& mesh, int64_t seed) -> absl::StatusOr<SurfacePoints> {
    NumpyRandomState random(static_cast<uint32_t>(seed));
    MF_ASSIGN_OR_RETURN(const SurfaceSamples samples, SampleSurface(mesh, config.mesh_samples(), random));
    return SurfacePointsOf(mesh, samples);
  };
  MF_ASSIGN_OR_RETURN(const SurfacePoints ours, sample(predicted, config.eval_seed()));
  MF_ASSIGN_OR_RETURN(const SurfacePoints theirs, sample(truth, config.eval_seed() + 1));
  std::vector<double> taus(config.fscore_taus().begin(), config.fscore_taus().end());
  if (taus.empty()) taus = {0.005, 0.01, 0.02};
  MF_ASSIGN_OR_RETURN(const SurfaceMetrics metrics, CompareSurfaces(ours, theirs, taus));
  shape->set_chamfer_l1(metrics.chamfer_l1);
  shape->set_chamfer_l2(metrics.chamfer_l2);
  shape->set_normal_consistency(metrics.normal_consistency);
  for (const FScore& score : metrics.f_scores) shape->add_fscore(score.score);
  return absl::OkStatus();
}

Image Panel(const TriangleMesh& mesh, int up_axis) {
  // The cube, not the shape, so that the three panels have one scale.
  return RenderMesh(mesh, {.width = 320, .height = 320, .up_axis = up_axis, .auto_fit = false});
}

}  // namespace

absl::StatusOr<ReconstructedShape> ReconstructShape(const CompletionRun& run, int64_t i,
                                                    const FieldModel& model, const ReconstructConfig& config,
                                                    const std::string& folder) {
  MF_ASSIGN_OR_RETURN(const CompletionSample context, SampleShape(run, i));
  MF_ASSIGN_OR_RETURN(const DistanceGrid grid, LoadDistanceGrid(*run.shapes, run.members[i]));
  MF_ASSIGN_OR_RETURN(const std::optional<PointsF> observed, ObservedPoints(run, i));
  const PointsF centres = GridCentres(config.grid_res());
  const std::vector<float> truth = ResampleGrid(grid, config.grid_res());
  const std::vector<float> predicted = PredictPoints(
      *model.model, model.head, context, centres, ChunksInOrder(centres.rows(), model.chunk), model.options);

  ReconstructedShape shape;
  shape.set_key(run.shapes->key(run.members[i]));
  shape.set_out_dir(folder);
  CompareFields(predicted, truth, config.mc_level(), &shape);
  MF_ASSIGN_OR_RETURN(const TriangleMesh predicted_mesh, Surface(predicted, config));
  MF_ASSIGN_OR_RETURN(const TriangleMesh true_mesh, Surface(truth, config));
  MF_ASSIGN_OR_RETURN(const TriangleMesh naive, NaiveSurface(context.context_xyz, centres, config));
  if (config.mesh_metrics()) MF_RETURN_IF_ERROR(CompareMeshes(predicted_mesh, true_mesh, config, &shape));

  MF_RETURN_IF_ERROR(MakeDirectories(folder));
  Folder files(folder, &shape);
  MF_RETURN_IF_ERROR(files.Points("context_pc.ply", context.context_xyz));
  if (observed && config.save_observed_pc()) MF_RETURN_IF_ERROR(files.Points("observed_pc.ply", *observed));
  if (config.save_volumes()) {
    MF_RETURN_IF_ERROR(files.Volume("pred_udf.npy", predicted, config.grid_res()));
    MF_RETURN_IF_ERROR(files.Volume("gt_udf.npy", truth, config.grid_res()));
  }
  MF_RETURN_IF_ERROR(files.Mesh("pred_mc", predicted_mesh));
  MF_RETURN_IF_ERROR(files.Mesh("gt_mc", true_mesh));
  if (config.save_weak_naive_mesh()) MF_RETURN_IF_ERROR(files.Mesh("weak_naive_mc", naive));
  if (observed && config.save_observed_naive_mesh()) {
    MF_ASSIGN_OR_RETURN(const TriangleMesh mesh, NaiveSurface(*observed, centres, config));
    MF_RETURN_IF_ERROR(files.Mesh("observed_naive_mc", mesh));
  }
  if (config.save_png()) {
    const std::vector<Image> panels = {Panel(naive, config.up_axis()),
                                       Panel(predicted_mesh, config.up_axis()),
                                       Panel(true_mesh, config.up_axis())};
    MF_RETURN_IF_ERROR(files.Picture("preview.png", JoinHorizontally(panels)));
  }
  return shape;
}

}  // namespace manyform

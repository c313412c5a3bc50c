#include "eval/mesh_evaluation.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "data/mesh_reader.h"
#include "eval/golden_for_test.h"
#include "geometry/grid.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

CompletionRun OneShape(int64_t member) {
  EnterGoldenFolder();
  return {.shapes = std::make_shared<const ShapeList>(ValueOrDie(ShapeList::Open("c40", "test"))),
          .members = {member},
          .context = {.backend = Backend::kPointcloudNoray},
          .options = {.n_context = 24, .n_query = 0}};
}

/// The shape's own field, in place of a model.
FieldPredictor Truth(const CompletionRun& run, int resolution, float offset) {
  const DistanceGrid grid = ValueOrDie(LoadDistanceGrid(*run.shapes, run.members[0]));
  std::vector<float> field = ResampleGrid(grid, resolution);
  for (float& d : field) d += offset;
  return [field](const CompletionSample&, const PointsF&) { return field; };
}

double Mean(const MeshEvaluation& meshes, const std::string& metric) {
  for (const MetricSummary& summary : meshes.summary())
    if (summary.metric() == metric) return summary.mean();
  ADD_FAILURE() << "no " << metric;
  return NAN;
}

TEST(ResampleGrid, IsItselfOrThePublishedInterpolation) {
  EnterGoldenFolder();
  const NpzReader npz = ValueOrDie(NpzReader::Open("mesh_eval.npz"));
  const DistanceGrid grid = {GoldenArray<float>(npz, "sphere_udf/grid"), 16};
  EXPECT_EQ(ResampleGrid(grid, 16), grid.values);
  const std::vector<float> coarse = ResampleGrid(grid, 8);
  ASSERT_EQ(coarse.size(), 512);
  // A centre of 8^3 lies amid eight voxels of 16^3.
  for (int x = 0; x < 8; ++x) {
    for (int y = 0; y < 8; ++y) {
      for (int z = 0; z < 8; ++z) {
        double mean = 0;
        for (int c = 0; c < 8; ++c)
          mean += grid.values[((2 * x + (c >> 2)) * 16 + 2 * y + (c >> 1 & 1)) * 16 + 2 * z + (c & 1)] / 8;
        EXPECT_NEAR(coarse[(x * 8 + y) * 8 + z], mean, 1e-6);
      }
    }
  }
}

TEST(EvaluateMeshes, APerfectFieldIsOnlySamplingApart) {
  for (const int resolution : {16, 24}) {
    const CompletionRun run = OneShape(4);
    MeshEvaluationOptions options = {.resolution = resolution, .level = 0.15, .samples = 3000};
    options.taus = {0.001, 0.2};
    const MeshEvaluation same = ValueOrDie(EvaluateMeshes(run, Truth(run, resolution, 0), options));
    const MeshEvaluation shrunk = ValueOrDie(EvaluateMeshes(run, Truth(run, resolution, 0.1f), options));
    ASSERT_TRUE(same.per_shape(0).ok()) << same.per_shape(0).error();
    EXPECT_LT(Mean(same, "chamfer_l1"), 0.1);
    EXPECT_GT(Mean(same, "fscore@0.2"), 0.999);
    EXPECT_GT(Mean(same, "normal_consistency"), 0.8);
    EXPECT_LT(Mean(same, "fscore"), Mean(same, "fscore@0.2"));
    EXPECT_GT(Mean(shrunk, "chamfer_l1"), Mean(same, "chamfer_l1") + 0.05);
    EXPECT_GT(Mean(shrunk, "chamfer_l2"), Mean(same, "chamfer_l2"));
  }
}

TEST(EvaluateMeshes, SaysWhichShapesHaveNoSurface) {
  const CompletionRun run = OneShape(2);
  const MeshEvaluationOptions options = {.resolution = 16, .level = 0.15, .samples = 100};
  const MeshEvaluation none = ValueOrDie(EvaluateMeshes(run, Truth(run, 16, 9), options));
  EXPECT_FALSE(none.per_shape(0).ok());
  EXPECT_NE(none.per_shape(0).error().find("predicted field has no surface"), std::string::npos);
  EXPECT_TRUE(std::isnan(Mean(none, "chamfer_l1")));
  EXPECT_EQ(none.summary(0).n(), 0);
}

TEST(EvaluateMeshes, KeepsTheMeshesItCompares) {
  const CompletionRun run = OneShape(6);
  const std::string folder = testing::TempDir() + "/meshes";
  const MeshEvaluationOptions options = {.resolution = 16, .level = 0.15, .samples = 100, .save_dir = folder};
  const MeshEvaluation meshes = ValueOrDie(EvaluateMeshes(run, Truth(run, 16, 0), options));
  const std::string key = meshes.per_shape(0).key();
  const TriangleMesh predicted = ValueOrDie(ReadMesh(folder + "/" + key + "/predicted.ply"));
  const TriangleMesh truth = ValueOrDie(ReadMesh(folder + "/" + key + "/truth.ply"));
  EXPECT_GT(predicted.faces.rows(), 100);
  EXPECT_EQ(predicted.vertices, truth.vertices) << "of the same field";
}

TEST(DistanceToContext, IsTheNearestPointsDistance) {
  CompletionSample context;
  context.context_xyz = GridCentres(2);
  const PointsF points = GridCentres(5);
  const std::vector<float> distances = DistanceToContext(context, points);
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    const float nearest = (context.context_xyz.rowwise() - points.row(i)).rowwise().norm().minCoeff();
    EXPECT_NEAR(distances[i], nearest, 1e-6);
  }
}

}  // namespace
}  // namespace manyform

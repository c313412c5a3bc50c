#include "eval/completion_run.h"

#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "c10/core/InferenceMode.h"
#include "data/batch_loader.h"
#include "model/checkpoint.h"

namespace manyform {
namespace {

absl::Status At(const std::string& path, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
}

absl::StatusOr<std::vector<float>> PoolDistances(const ShapeList& shapes, int64_t shape) {
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const ShapeFile> file, shapes.Load(shape));
  MF_ASSIGN_OR_RETURN(const Array array, file->Get("pt_dist_udf_pool"));
  return array.Values<float>();
}

}  // namespace

absl::StatusOr<DistanceGrid> LoadDistanceGrid(const ShapeList& shapes, int64_t shape) {
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const ShapeFile> file, shapes.Load(shape));
  MF_ASSIGN_OR_RETURN(const Array array, file->Get("udf_grid"));
  const std::vector<int64_t>& side = array.shape;
  if (side.size() != 3 || side[0] < 1 || side[0] != side[1] || side[1] != side[2] || side[0] > 1024)
    return absl::DataLossError(absl::StrCat(file->path(), ": udf_grid is no cube of side 1 to 1024"));
  DistanceGrid grid = {.g = static_cast<int>(side[0])};
  MF_ASSIGN_OR_RETURN(grid.values, array.Values<float>());
  return grid;
}

absl::StatusOr<CompletionSample> SampleShape(const CompletionRun& run, int64_t i) {
  const ShapeList& shapes = *run.shapes;
  const int64_t shape = run.members[i];
  const std::string path = shapes.path(shape);
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const Pools> pools, shapes.Answers(shape, run.context));
  std::shared_ptr<const Pools> other;
  if (run.options.context_mode == ContextMode::kMismatch) {
    const int64_t next = ((i + run.mismatch_shift) % run.size() + run.size()) % run.size();
    MF_ASSIGN_OR_RETURN(other, shapes.Answers(run.members[next], run.context));
  }
  DistanceGrid grid;
  if (run.options.VoxelQueries() > 0) {
    MF_ASSIGN_OR_RETURN(grid, LoadDistanceGrid(shapes, shape));
  }
  std::vector<float> pool_distance;
  if (run.options.PoolQueries() > 0) {
    MF_ASSIGN_OR_RETURN(pool_distance, PoolDistances(shapes, shape));
  }
  NumpyRandomState random(EvalSeed(path, run.seed, 0));
  auto sample =
      DrawCompletion(*pools, other.get(), {pool_distance, grid.values, grid.g}, run.options, random);
  if (!sample.ok()) return At(path, sample.status());
  return sample;
}

absl::StatusOr<int64_t> QueriesPerShape(const CompletionRun& run) {
  const int64_t on_grid = run.options.VoxelQueries();
  if (on_grid == 0 || run.members.empty()) return run.options.n_query;
  MF_ASSIGN_OR_RETURN(const DistanceGrid grid, LoadDistanceGrid(*run.shapes, run.members[0]));
  return run.options.PoolQueries() + std::min(on_grid, static_cast<int64_t>(grid.values.size()));
}

at::Tensor QueryStates(const QueryTransformer& model, const at::Tensor& feat, const at::Tensor& type,
                       std::span<const int64_t> query_positions, bool z_hat) {
  const Hidden hidden = model.Forward(feat, type, {.need_z_hat = z_hat});
  at::Tensor positions = at::empty({static_cast<int64_t>(query_positions.size())}, at::kLong);
  std::copy(query_positions.begin(), query_positions.end(), positions.mutable_data_ptr<int64_t>());
  const at::Tensor states = (z_hat ? hidden.z_hat : hidden.h).index_select(1, positions.to(model.device()));
  return states.reshape({-1, states.size(2)}).cpu();
}

absl::Status VisitCompletions(const QueryTransformer& model, const CompletionRun& run,
                              const StateOptions& options, const CompletionVisitor& visit) {
  const c10::InferenceMode no_gradients;
  MF_ASSIGN_OR_RETURN(const int64_t queries, QueriesPerShape(run));
  const int64_t context = run.options.ContextPoints();
  const std::vector<int64_t> positions = QueryTokenPositions(context, queries, options.layout);
  std::vector<CompletionSample> samples(run.size());
  BatchLoader::Options loading = {.batch = options.batch, .drop_last = false};
  loading.length = SequenceLength(context + queries, 0, options.layout);
  loading.draws = [&run](int64_t) -> absl::StatusOr<std::vector<Draw>> {
    std::vector<Draw> draws(run.size());
    for (int64_t i = 0; i < run.size(); ++i) draws[i] = {0, i};
    return draws;
  };
  loading.fill = [&](const Draw& draw, int64_t, int64_t, std::span<float> feat,
                     std::span<uint8_t> type) -> absl::Status {
    CompletionSample& sample = samples[draw.shape];
    MF_ASSIGN_OR_RETURN(sample, SampleShape(run, draw.shape));
    if (sample.query_xyz.rows() != queries) {
      return At(run.path(draw.shape),
                absl::InvalidArgumentError(
                    absl::StrCat("has ", sample.query_xyz.rows(), " voxels to ask, other shapes ", queries)));
    }
    WriteCompletionTokens(sample.context_xyz, sample.context_distance, sample.query_xyz, options.layout, feat,
                          type);
    return absl::OkStatus();
  };
  MF_ASSIGN_OR_RETURN(const std::unique_ptr<BatchLoader> loader, BatchLoader::Create(std::move(loading)));
  Progress progress("completing " + run.shapes->split(), "shapes", run.size());
  for (int64_t first = 0;;) {
    MF_ASSIGN_OR_RETURN(const Batch* const batch, loader->Next());
    if (batch == nullptr) return absl::OkStatus();
    const at::Tensor states = QueryStates(
        model, FeatureTensor(batch->feat.data(), batch->size, batch->length, model.device()),
        TypeTensor(batch->type.data(), batch->size, batch->length, model.device()), positions, options.z_hat);
    const std::span<CompletionSample> own = std::span(samples).subspan(first, batch->size);
    MF_RETURN_IF_ERROR(visit(first, own, states));
    for (CompletionSample& sample : own) sample = {};
    first += batch->size;
    progress.Add(batch->size);
  }
}

absl::Status VisitSamples(const CompletionRun& run, int num_threads, const CompletionVisitor& visit) {
  constexpr int64_t kBlock = 1024;
  Progress progress("sampling " + run.shapes->split(), "shapes", run.size());
  for (int64_t first = 0; first < run.size(); first += kBlock) {
    std::vector<CompletionSample> samples(std::min(kBlock, run.size() - first));
    MF_RETURN_IF_ERROR(
        ParallelFor(static_cast<int64_t>(samples.size()), num_threads, [&](int64_t i) -> absl::Status {
          MF_ASSIGN_OR_RETURN(samples[i], SampleShape(run, first + i));
          return absl::OkStatus();
        }));
    MF_RETURN_IF_ERROR(visit(first, samples, at::Tensor()));
    progress.Add(static_cast<int64_t>(samples.size()));
  }
  return absl::OkStatus();
}

}  // namespace manyform

#include "eval/reconstruct.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/config.h"
#include "base/files.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/result_writer.h"
#include "base/status_macros.h"
#include "eval/checkpoint_use.h"
#include "eval/completion_head.h"
#include "eval/completion_run.h"
#include "eval/reconstruct_shape.h"
#include "eval/record.h"
#include "model/device.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

/// Shapes to look at are sampled from other streams than the head's.
constexpr int64_t kTestSeedOffset = 999;

absl::StatusOr<CompletionRun> OpenRun(const ReconstructConfig& config, const std::string& split,
                                      const std::string& backend, int64_t queries, int64_t seed) {
  MF_ASSIGN_OR_RETURN(ShapeList list, ShapeList::Open(config.cache_root(), split));
  NoteInput(absl::StrCat(config.cache_root(), "/", split), list.fingerprint());
  CompletionRun run = {.shapes = std::make_shared<const ShapeList>(std::move(list)), .seed = seed};
  run.context = {.voxel_grid = config.voxel_grid(),
                 .voxel_dilate = config.voxel_dilate(),
                 .voxel_max_steps = config.voxel_max_steps()};
  MF_ASSIGN_OR_RETURN(run.context.backend, ParseBackend(backend));
  run.options = {.n_context = config.n_context(), .n_query = queries, .pool_fraction = 0};
  return run;
}

/// Shapes [first, first + most) of the run's split, as far as there are; most 0: all.
absl::Status TakeShapes(int64_t first, int64_t most, CompletionRun* run) {
  const int64_t n = run->shapes->size();
  if (first >= n) {
    return BadConfigError(
        absl::StrCat("field shape_offset ", first, ": split ", run->shapes->split(), " has ", n, " shapes"));
  }
  run->members.resize(most > 0 ? std::min(most, n - first) : n - first);
  std::iota(run->members.begin(), run->members.end(), first);
  return absl::OkStatus();
}

absl::StatusOr<FittedHead> FitHead(const ReconstructConfig& config, const LoadedModel& model,
                                   const CompletionRun& run, const StateOptions& options) {
  MF_ASSIGN_OR_RETURN(const int64_t queries, QueriesPerShape(run));
  HeadBuilder builder({.ridge_lambda = config.ridge_lambda()}, run.size(), queries,
                      model.model.config().d_model);
  MF_RETURN_IF_ERROR(VisitCompletions(
      model.model, run, options,
      [&](int64_t first, std::span<const CompletionSample> samples, const at::Tensor& states) {
        builder.Add(first, samples, states);
        return absl::OkStatus();
      }));
  return builder.Finish();
}

/// As many points as fit behind the context.
absl::StatusOr<int64_t> LargestChunk(const LoadedModel& model, int64_t n_context,
                                     const LayoutOptions& layout) {
  const int64_t fixed = SequenceLength(n_context, 0, layout);
  const int64_t each = SequenceLength(n_context + 1, 0, layout) - fixed;
  const int64_t chunk = (model.model.config().max_len - fixed) / each;
  if (chunk < 1) {
    return BadConfigError(absl::StrCat("field n_context ", n_context, ": ", model.model.config().max_len,
                                       " positions leave no room for a query"));
  }
  return chunk;
}

/// Where all shapes have it.
template <class Value>
void AddMean(const std::string& name, const ReconstructResult& result, const Value& value,
             RecordBuilder* builder) {
  double sum = 0;
  for (const ReconstructedShape& shape : result.shapes()) sum += value(shape);
  builder->Metric(name, sum / result.shapes_size());
}

std::string PerShapeJson(const ReconstructResult& result) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ReconstructedShape& shape : result.shapes()) {
    nlohmann::ordered_json one = {{"name", shape.key().substr(shape.key().rfind('/') + 1)},
                                  {"key", shape.key()},
                                  {"mae_grid", shape.mae_grid()},
                                  {"rmse_grid", shape.rmse_grid()},
                                  {"iou@level", shape.iou_at_level()},
                                  {"out_dir", shape.out_dir()}};
    for (const std::string& file : shape.files()) {
      std::string name = file;
      std::replace(name.begin(), name.end(), '.', '_');
      one[name] = JoinPath(shape.out_dir(), file);
    }
    list.push_back(std::move(one));
  }
  return list.dump();
}

ResultRecord MakeRecord(const ReconstructConfig& config, const LoadedModel& model, const CompletionRun& run,
                        const CompletionRun& head_run, const FieldModel& field,
                        const ReconstructResult& result) {
  RecordBuilder builder("reconstruct");
  builder.Note("ckpt", config.ckpt())
      .Note("cache_root", config.cache_root())
      .Protocol("split", config.split())
      .Protocol("context_backend", config.context_backend())
      .Protocol("head_train_split", config.head_train_split())
      .Protocol("head_train_backend", config.head_train_backend())
      .Protocol("head_train_split_hash", head_run.shapes->fingerprint())
      .Protocol("n_head_train_shapes", head_run.size())
      .Protocol("n_eval_shapes", run.size())
      .Protocol("shape_offset", config.shape_offset())
      .Protocol("n_context", config.n_context())
      .Protocol("n_query_probe", config.n_query_probe())
      .Protocol("grid_res", config.grid_res())
      .Protocol("mc_level", config.mc_level())
      .Protocol("ridge_lambda", config.ridge_lambda())
      .Protocol("rep_source", config.rep_source())
      .Protocol("eval_seed", config.eval_seed())
      .Protocol("max_query_per_pass", field.chunk);
  if (run.shapes->AnySimulated() || head_run.shapes->AnySimulated()) builder.Note("simulated", true);
  AddLayoutKeys(field.options.layout, model.header, &builder);
  using Shape = const ReconstructedShape&;
  AddMean(
      "mean_mae_grid", result, [](Shape shape) { return shape.mae_grid(); }, &builder);
  AddMean(
      "mean_rmse_grid", result, [](Shape shape) { return shape.rmse_grid(); }, &builder);
  AddMean(
      "mean_iou@level", result, [](Shape shape) { return shape.iou_at_level(); }, &builder);
  builder.NoteJson("per_shape", PerShapeJson(result));
  const std::string label = config.label().empty() ? LabelOf(config.ckpt()) : config.label();
  return builder.Finish(label, run.shapes->fingerprint(), model.hash, "f32");
}

}  // namespace

absl::StatusOr<ReconstructResult> Reconstruct(const ReconstructConfig& config) {
  SetTensorThreads(config.num_threads());
  MF_ASSIGN_OR_RETURN(const c10::Device device, SelectDevice(config.device()));
  NoteSeed("eval_seed", static_cast<uint64_t>(config.eval_seed()));
  MF_ASSIGN_OR_RETURN(CompletionRun run, OpenRun(config, config.split(), config.context_backend(), 1,
                                                 config.eval_seed() + kTestSeedOffset));
  MF_RETURN_IF_ERROR(TakeShapes(config.shape_offset(), config.max_shapes(), &run));
  MF_ASSIGN_OR_RETURN(CompletionRun head_run,
                      OpenRun(config, config.head_train_split(), config.head_train_backend(),
                              config.n_query_probe(), config.eval_seed()));
  MF_RETURN_IF_ERROR(TakeShapes(0, config.head_train_max_shapes(), &head_run));
  MF_ASSIGN_OR_RETURN(LoadedModel model, LoadModel(config.ckpt(), device));
  NoteInput(config.ckpt(), model.hash);

  FieldModel field = {.model = &model.model};
  field.options = {.z_hat = config.rep_source() == "zhat", .batch = config.batch()};
  MF_ASSIGN_OR_RETURN(field.options.layout, SequenceLayout(model, -1, -1));
  MF_RETURN_IF_ERROR(FitPositions(
      &model, config.max_len(),
      SequenceLength(int64_t{config.n_context()} + config.n_query_probe(), 0, field.options.layout)));
  MF_ASSIGN_OR_RETURN(field.chunk, LargestChunk(model, config.n_context(), field.options.layout));
  MF_ASSIGN_OR_RETURN(const FittedHead head, FitHead(config, model, head_run, field.options));
  field.head = head.weights;

  ReconstructResult result;
  Progress progress("reconstructing", "shapes", run.size());
  for (int64_t i = 0; i < run.size(); ++i) {
    std::string id = run.shapes->key(run.members[i]);
    id = id.substr(id.rfind('/') + 1);
    const std::string folder = JoinPath(config.out_dir(), absl::StrFormat("%03d_%s", i, id));
    MF_ASSIGN_OR_RETURN(*result.add_shapes(), ReconstructShape(run, i, field, config, folder));
    progress.Add(1);
  }
  *result.mutable_record() = MakeRecord(config, model, run, head_run, field, result);
  *result.mutable_provenance() = CollectProvenance("reconstruct", config);
  MF_RETURN_IF_ERROR(WriteResult(JoinPath(config.out_dir(), "summary.json"), result));
  LogLine(absl::StrCat(config.out_dir(), ": ", result.shapes_size(), " shapes, mean error ",
                       FormatNumber(MetricOr(result.record(), "mean_mae_grid", 0))));
  return result;
}

}  // namespace manyform

#include "eval/cpac.h"

#include <algorithm>
#include <utility>

#include "ATen/ATen.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/numpy_random.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "eval/checkpoint_use.h"
#include "eval/completion_run.h"
#include "eval/field_slice.h"
#include "eval/metrics.h"
#include "eval/record.h"
#include "eval/ridge.h"
#include "model/device.h"

namespace manyform {
namespace {

constexpr char kBaseline[] = "nn_copy";
/// Test shapes are sampled from other streams than the head's.
constexpr int64_t kTestSeedOffset = 999;

absl::StatusOr<CompletionRun> MakeRun(const CpacConfig& config, std::shared_ptr<const ShapeList> shapes,
                                      const std::string& backend, int64_t most_shapes, int64_t seed) {
  CompletionRun run = {.shapes = std::move(shapes), .seed = seed};
  run.n_shapes = most_shapes > 0 ? std::min(most_shapes, run.shapes->size()) : run.shapes->size();
  run.context = {.voxel_grid = config.voxel_grid(),
                 .voxel_dilate = config.voxel_dilate(),
                 .voxel_max_steps = config.voxel_max_steps()};
  MF_ASSIGN_OR_RETURN(run.context.backend, ParseBackend(backend));
  run.options = {.n_context = config.n_context(),
                 .n_query = config.n_query(),
                 .disjoint = config.disjoint_context_query(),
                 .grid = config.query_source() == "grid",
                 .near_surface = config.grid_sample_mode() == "near_surface",
                 .near_tau = config.grid_near_tau(),
                 .near_frac = config.grid_near_frac()};
  return run;
}

bool WantsBaseline(const CpacConfig& config) {
  return config.baseline_only() || config.baseline() == kBaseline;
}

/// The rows the head is fitted on: all, or the first head_train_n of a permutation.
std::vector<bool> ChosenRows(const CpacConfig& config, int64_t rows) {
  if (config.head_train_n() <= 0 || config.head_train_n() >= rows) return std::vector<bool>(rows, true);
  NumpyRandomState random(static_cast<uint32_t>(config.eval_seed()));
  const std::vector<int64_t> order = random.Permutation(rows);
  std::vector<bool> chosen(rows, false);
  for (int32_t i = 0; i < config.head_train_n(); ++i) chosen[order[i]] = true;
  return chosen;
}

absl::StatusOr<at::Tensor> FitHead(const CpacConfig& config, const CompletionRun& run,
                                   const LoadedModel& model, const StateOptions& options, CpacTrace* trace) {
  MF_ASSIGN_OR_RETURN(const int64_t queries, QueriesPerShape(run));
  const std::vector<bool> chosen = ChosenRows(config, run.n_shapes * queries);
  RidgeFit fit(model.model.config().d_model);
  MF_RETURN_IF_ERROR(VisitCompletions(
      model.model, run, options,
      [&](int64_t first, std::span<const CompletionSample> samples, const at::Tensor& states) {
        std::vector<int64_t> rows;
        std::vector<float> targets;
        for (size_t s = 0; s < samples.size(); ++s) {
          if (trace != nullptr && trace->sample)
            trace->sample(run.shapes->path(first + static_cast<int64_t>(s)), samples[s]);
          for (int64_t q = 0; q < queries; ++q) {
            const int64_t row = static_cast<int64_t>(s) * queries + q;
            if (!chosen[first * queries + row]) continue;
            rows.push_back(row);
            targets.push_back(samples[s].query_distance[q]);
          }
        }
        at::Tensor indices = at::empty({static_cast<int64_t>(rows.size())}, at::kLong);
        std::copy(rows.begin(), rows.end(), indices.mutable_data_ptr<int64_t>());
        const at::Tensor x = states.index_select(0, indices);
        fit.Add(x, targets);
        if (trace != nullptr) {
          trace->x_train.push_back(x);
          trace->y_train.insert(trace->y_train.end(), targets.begin(), targets.end());
        }
        return absl::OkStatus();
      }));
  return fit.Solve(config.ridge_lambda());
}

/// Distances of the measured shapes, query by query.
struct Fields {
  std::vector<float> truth, predicted, baseline;
};

absl::StatusOr<Fields> MeasureFields(const CpacConfig& config, const CompletionRun& run,
                                     const LoadedModel* model, const at::Tensor& head,
                                     const StateOptions& options, CpacTrace* trace) {
  Fields fields;
  const CompletionVisitor visit = [&](int64_t first, std::span<const CompletionSample> samples,
                                      const at::Tensor& states) -> absl::Status {
    for (size_t s = 0; s < samples.size(); ++s) {
      const CompletionSample& sample = samples[s];
      if (trace != nullptr && trace->sample)
        trace->sample(run.shapes->path(first + static_cast<int64_t>(s)), sample);
      fields.truth.insert(fields.truth.end(), sample.query_distance.begin(), sample.query_distance.end());
      if (!WantsBaseline(config)) continue;
      MF_ASSIGN_OR_RETURN(const std::vector<float> copied,
                          CopyNearest(sample.context_xyz, sample.context_distance, sample.query_xyz));
      fields.baseline.insert(fields.baseline.end(), copied.begin(), copied.end());
    }
    if (!states.defined()) return absl::OkStatus();
    if (trace != nullptr) trace->x_test.push_back(states);
    const at::Tensor predicted = ApplyRidge(states, head).contiguous();
    const float* values = predicted.const_data_ptr<float>();
    fields.predicted.insert(fields.predicted.end(), values, values + predicted.numel());
    return absl::OkStatus();
  };
  MF_RETURN_IF_ERROR(model != nullptr ? VisitCompletions(model->model, run, options, visit)
                                      : VisitSamples(run, config.num_threads(), visit));
  return fields;
}

void AddErrors(const CpacConfig& config, const std::vector<float>& predicted, const std::vector<float>& truth,
               const std::string& prefix, bool near, RecordBuilder* builder) {
  const float tau = static_cast<float>(config.tau());
  const FieldError all = CompareDistances(predicted, truth, tau);
  builder->Metric(prefix + "mae", all.mae)
      .Metric(prefix + "rmse", all.rmse)
      .Metric(prefix + "iou@tau", all.iou);
  if (!near) return;
  const FieldError close =
      CompareNearDistances(predicted, truth, tau, static_cast<float>(config.report_near_tau()));
  builder->Metric(prefix + "near@tau_report.mae", close.mae)
      .Metric(prefix + "near@tau_report.rmse", close.rmse)
      .Metric(prefix + "near@tau_report.iou@tau", close.iou)
      .Metric(prefix + "near@tau_report.n", static_cast<double>(close.n));
}

void AddSettings(const CpacConfig& config, const CompletionRun& run, const CompletionRun* head_run,
                 RecordBuilder* builder) {
  builder->Protocol("context_backend", BackendName(run.context.backend))
      .Protocol("target", "udfgrid_distance_probe")
      .Protocol("n_context", config.n_context())
      .Protocol("n_query", config.n_query())
      .Protocol("query_source", config.query_source())
      .Protocol("grid_sample_mode", config.grid_sample_mode())
      .Protocol("grid_near_tau", config.grid_near_tau())
      .Protocol("grid_near_frac", config.grid_near_frac())
      .Protocol("eval_split", run.shapes->split())
      .Protocol("eval_seed", config.eval_seed())
      .Protocol("n_shapes_total", run.n_shapes)
      .Protocol("n_shapes_head_test", run.n_shapes)
      .Protocol("tau", config.tau())
      .Protocol("report_near_tau", config.report_near_tau())
      .Protocol("disjoint_context_query", config.disjoint_context_query())
      .Protocol("context_mode_test", "normal")
      .Protocol("target_transform", "none");
  bool voxels = run.context.backend == Backend::kVoxel;
  if (head_run != nullptr) {
    voxels |= head_run->context.backend == Backend::kVoxel;
    builder->Protocol("context_mode_train", "normal")
        .Protocol("head_train_split", head_run->shapes->split())
        .Protocol("head_train_backend", BackendName(head_run->context.backend))
        .Protocol("legacy_transductive", false)
        .Protocol("n_shapes_head_train", head_run->n_shapes)
        .Protocol("head_train_n", config.head_train_n())
        .Protocol("head_train_split_hash", head_run->shapes->fingerprint())
        .Protocol("ridge_lambda", config.ridge_lambda())
        .Protocol("rep_source", config.rep_source());
  }
  if (voxels) {
    builder->Protocol("voxel_grid", config.voxel_grid())
        .Protocol("voxel_dilate", config.voxel_dilate())
        .Protocol("voxel_max_steps", config.voxel_max_steps());
  }
}

ResultRecord MakeRecord(const CpacConfig& config, const CompletionRun& run, const CompletionRun* head_run,
                        const LoadedModel* model, const LayoutOptions& layout, const Fields& fields) {
  RecordBuilder builder("cpac");
  AddSettings(config, run, head_run, &builder);
  if (run.shapes->AnySimulated() || (head_run != nullptr && head_run->shapes->AnySimulated())) {
    builder.Note("simulated", true);
  }
  std::string label = config.label();
  if (model != nullptr) {
    AddErrors(config, fields.predicted, fields.truth, "", true, &builder);
    // No transform of the target is offered, so its space is the target's own.
    AddErrors(config, fields.predicted, fields.truth, "metrics_transformed.", false, &builder);
    AddLayoutKeys(layout, model->header, &builder);
    builder.Note("ckpt", config.ckpt());
    if (label.empty()) label = LabelOf(config.ckpt());
  } else {
    AddErrors(config, fields.baseline, fields.truth, "", true, &builder);
    builder.Note("name", kBaseline).Note("baseline_only", true);
    if (label.empty()) label = kBaseline;
  }
  if (WantsBaseline(config)) {
    AddErrors(config, fields.baseline, fields.truth, "baseline.", true, &builder);
    builder.Note("baseline.name", kBaseline);
  } else {
    builder.NoteJson("baseline", "null");
  }
  return builder.Finish(label, run.shapes->fingerprint(), model != nullptr ? model->hash : "", "f32");
}

}  // namespace

absl::StatusOr<CpacResult> MeasureCpac(const CpacConfig& config, std::shared_ptr<const ShapeList> shapes,
                                       std::shared_ptr<const ShapeList> head_shapes, LoadedModel* model,
                                       CpacTrace* trace) {
  MF_ASSIGN_OR_RETURN(const CompletionRun run,
                      MakeRun(config, std::move(shapes), config.context_backend(), config.max_shapes(),
                              config.eval_seed() + kTestSeedOffset));
  CompletionRun head_run;
  StateOptions options = {.z_hat = config.rep_source() == "zhat", .batch = config.batch()};
  at::Tensor head;
  if (model != nullptr) {
    MF_ASSIGN_OR_RETURN(head_run, MakeRun(config, std::move(head_shapes), config.head_train_backend(),
                                          config.head_train_max_shapes(), config.eval_seed()));
    MF_ASSIGN_OR_RETURN(options.layout, SequenceLayout(*model, config.add_eos(), config.qa_tokens()));
    MF_RETURN_IF_ERROR(
        FitPositions(model, config.max_len(),
                     SequenceLength(int64_t{config.n_context()} + config.n_query(), 0, options.layout)));
    MF_ASSIGN_OR_RETURN(head, FitHead(config, head_run, *model, options, trace));
  }
  MF_ASSIGN_OR_RETURN(Fields fields, MeasureFields(config, run, model, head, options, trace));

  CpacResult result;
  *result.mutable_record() =
      MakeRecord(config, run, model != nullptr ? &head_run : nullptr, model, options.layout, fields);
  const int64_t slices = std::min<int64_t>(config.slice_shapes(), run.n_shapes);
  for (int64_t i = 0; i < slices; ++i) {
    MF_ASSIGN_OR_RETURN(*result.add_slices(),
                        CompleteSlice(run, i, model != nullptr ? &model->model : nullptr, head, options));
  }
  if (trace != nullptr) {
    trace->head = head;
    trace->predicted = std::move(fields.predicted);
    trace->truth = std::move(fields.truth);
  }
  return result;
}

absl::StatusOr<CpacResult> Cpac(const CpacConfig& config) {
  if (config.ckpt().empty() && !config.baseline_only())
    return absl::InvalidArgumentError("field ckpt is required unless baseline_only is set");
  SetTensorThreads(config.num_threads());
  MF_ASSIGN_OR_RETURN(const c10::Device device, SelectDevice(config.device()));
  const auto open = [&config](const std::string& split) -> absl::StatusOr<std::shared_ptr<const ShapeList>> {
    MF_ASSIGN_OR_RETURN(ShapeList list, ShapeList::Open(config.cache_root(), split));
    NoteInput(absl::StrCat(config.cache_root(), "/", split), list.fingerprint());
    return std::make_shared<const ShapeList>(std::move(list));
  };
  NoteSeed("eval_seed", static_cast<uint64_t>(config.eval_seed()));
  MF_ASSIGN_OR_RETURN(std::shared_ptr<const ShapeList> shapes, open(config.split()));
  if (config.baseline_only()) return MeasureCpac(config, std::move(shapes), nullptr, nullptr);
  MF_ASSIGN_OR_RETURN(std::shared_ptr<const ShapeList> head_shapes, open(config.head_train_split()));
  MF_ASSIGN_OR_RETURN(LoadedModel model, LoadModel(config.ckpt(), device));
  NoteInput(config.ckpt(), model.hash);
  MF_ASSIGN_OR_RETURN(CpacResult result,
                      MeasureCpac(config, std::move(shapes), std::move(head_shapes), &model));
  const ResultRecord& record = result.record();
  LogLine(absl::StrCat(record.label(), ": MAE ", MetricOr(record, "mae", 0), ", IoU@tau ",
                       MetricOr(record, "iou@tau", 0)));
  return result;
}

}  // namespace manyform

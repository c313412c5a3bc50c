#include "eval/cpac_record.h"

#include <algorithm>
#include <string>

#include "eval/checkpoint_use.h"
#include "eval/metrics.h"
#include "eval/record.h"

namespace manyform {
namespace {

constexpr char kBaseline[] = "nn_copy";
/// Published runs accept a batch size and use every row at every step all the same.
constexpr int64_t kLipschitzBatch = 8192;

void AddError(const FieldError& error, const std::string& prefix, RecordBuilder* builder) {
  builder->Metric(prefix + "mae", error.mae)
      .Metric(prefix + "rmse", error.rmse)
      .Metric(prefix + "iou@tau", error.iou);
}

void AddErrors(const CpacConfig& config, const std::vector<float>& predicted, const std::vector<float>& truth,
               const std::string& prefix, RecordBuilder* builder) {
  const float tau = static_cast<float>(config.tau());
  AddError(CompareDistances(predicted, truth, tau), prefix, builder);
  const FieldError close =
      CompareNearDistances(predicted, truth, tau, static_cast<float>(config.report_near_tau()));
  AddError(close, prefix + "near@tau_report.", builder);
  builder->Metric(prefix + "near@tau_report.n", static_cast<double>(close.n));
}

/// In the signature where it changes a number of this run; else only shown, as published results show it.
class Settings {
 public:
  explicit Settings(RecordBuilder* builder) : builder_(*builder) {}
  template <class T>
  Settings& Add(std::string_view name, const T& value, bool used = true) {
    used ? builder_.Protocol(name, value) : builder_.NoteJson(name, Json(value));
    return *this;
  }

 private:
  template <class T>
  static std::string Json(const T& value) {
    RecordBuilder one("");
    one.Protocol("value", value);
    return SettingOf(one.Finish("", "", "", ""), "value");
  }
  RecordBuilder& builder_;
};

void AddQueries(const CpacConfig& config, const CompletionOptions& options, Settings* settings) {
  const bool voxels = options.VoxelQueries() > 0;
  const bool fine = voxels && options.grid.sampling == GridSampling::kCoarseToFine;
  const bool near = voxels && options.grid.sampling == GridSampling::kNearSurface;
  settings->Add("query_source", config.query_source())
      .Add("query_pool_frac", config.query_pool_frac(), config.query_source() == "hybrid")
      .Add("grid_sample_mode", config.grid_sample_mode(), voxels)
      .Add("grid_near_tau", config.grid_near_tau(), near || fine)
      .Add("grid_near_frac", config.grid_near_frac(), near)
      .Add("grid_res_schedule", config.grid_res_schedule(), fine)
      .Add("grid_c2f_expand", config.grid_c2f_expand(), fine)
      .Add("grid_c2f_stage_weights", config.grid_c2f_stage_weights(), fine);
}

void AddHead(const CpacConfig& config, const CpacPlan& plan, bool used, Settings* settings) {
  const bool lipschitz = used && plan.head.lipschitz.has_value();
  const TargetTransform::Kind kind = plan.head.transform.kind;
  settings->Add("context_mode_train", config.context_mode_train(), used)
      .Add("head_train_split", plan.transductive ? "legacy_transductive" : config.head_train_split(), used)
      .Add("head_train_backend", plan.transductive ? config.context_backend() : config.head_train_backend(),
           used)
      .Add("legacy_transductive", plan.transductive, used)
      .Add("head_train_n", config.head_train_n(), used)
      .Add("head_train_ratio", config.head_train_ratio(), used && plan.transductive)
      .Add("ridge_lambda", config.ridge_lambda(), used)
      .Add("ridge_lipschitz_lambda", config.ridge_lipschitz_lambda(), lipschitz)
      .Add("ridge_lipschitz_pairs", config.ridge_lipschitz_pairs(), lipschitz)
      .Add("ridge_lipschitz_steps", config.ridge_lipschitz_steps(), lipschitz)
      .Add("ridge_lipschitz_lr", config.ridge_lipschitz_lr(), lipschitz)
      .Add("ridge_lipschitz_batch", kLipschitzBatch, false)
      .Add("ridge_lipschitz_max_points", config.ridge_lipschitz_max_points(), lipschitz)
      .Add("ridge_lipschitz_seed", config.ridge_lipschitz_seed(), lipschitz)
      .Add("rep_source", config.rep_source(), used)
      .Add("target_transform", config.target_transform(), used)
      .Add("target_trunc_max", config.target_trunc_max(), used && kind == TargetTransform::Kind::kTruncate)
      .Add("target_log_scale", config.target_log_scale(), used && kind == TargetTransform::Kind::kLog);
  if (!plan.head_run) return;
  settings->Add("n_shapes_head_train", plan.head_run->size(), used)
      .Add("head_train_split_hash", plan.head_run->shapes->fingerprint(), used);
}

void AddSettings(const CpacConfig& config, const CpacPlan& plan, bool with_head, RecordBuilder* builder) {
  Settings settings(builder);
  const auto misled = [](const CompletionRun& run) {
    return run.options.context_mode == ContextMode::kMismatch;
  };
  const auto voxel = [](const CompletionRun& run) { return run.context.backend == Backend::kVoxel; };
  const bool head_mismatch = with_head && misled(*plan.head_run);
  const bool head_voxel = with_head && voxel(*plan.head_run);
  settings.Add("context_backend", config.context_backend())
      .Add("target", "udfgrid_distance_probe")
      .Add("n_context", config.n_context())
      .Add("n_query", config.n_query());
  AddQueries(config, plan.test.options, &settings);
  settings.Add("eval_split", plan.test.shapes->split())
      .Add("eval_seed", config.eval_seed())
      .Add("n_shapes_total", plan.test.size() + (plan.transductive ? plan.head_run->size() : 0))
      .Add("n_shapes_head_test", plan.test.size())
      .Add("tau", config.tau())
      .Add("report_near_tau", config.report_near_tau())
      .Add("disjoint_context_query", config.disjoint_context_query())
      .Add("context_mode_test", config.context_mode_test())
      .Add("mismatch_shift", config.mismatch_shift(), misled(plan.test) || head_mismatch);
  AddHead(config, plan, with_head, &settings);
  if (voxel(plan.test) || head_voxel) {
    settings.Add("voxel_grid", config.voxel_grid())
        .Add("voxel_dilate", config.voxel_dilate())
        .Add("voxel_max_steps", config.voxel_max_steps());
  }
}

/// What the refinement found, under the published names of its report.
void AddLipschitz(const HeadOptions& options, const FittedHead& head, RecordBuilder* builder) {
  const std::string prefix = "ridge_lipschitz_info.";
  builder->Note(prefix + "enabled", head.lipschitz.has_value());
  if (!head.lipschitz) return;
  const LipschitzReport& report = *head.lipschitz;
  if (!report.refined) builder->Note(prefix + "skipped", "zero_violation_at_init");
  const auto add = [&](const char* name, double value) { builder->Metric(prefix + name, value); };
  add("lip_lambda", options.lipschitz->weight);
  add("lip_pairs", static_cast<double>(options.lipschitz->pairs));
  add("lip_steps", static_cast<double>(options.lipschitz->steps));
  add("lip_lr", options.lipschitz->learning_rate);
  add("lip_batch", static_cast<double>(std::min(kLipschitzBatch, head.rows)));
  add("lip_max_points", static_cast<double>(options.lipschitz_rows));
  add("n_train_points_after_cap", static_cast<double>(head.rows));
  add("n_valid_groups", static_cast<double>(report.shapes));
  add("init_lip", report.at_start);
  if (!report.refined) return;
  add("mse", report.mse);
  add("ridge", report.ridge);
  add("lip", report.violation);
  add("loss", report.loss);
}

void AddPredictions(const CpacConfig& config, const CpacPlan& plan, const CompletionFields& fields,
                    RecordBuilder* builder) {
  const TargetTransform& transform = plan.head.transform;
  AddErrors(config, transform.Inverse(fields.predicted), fields.truth, "", builder);
  AddError(CompareDistances(fields.predicted, transform.Forward(fields.truth),
                            transform.Forward(static_cast<float>(config.tau()))),
           "metrics_transformed.", builder);
}

void AddMeshes(const CpacPlan& plan, bool predicted, const MeshEvaluation& meshes, RecordBuilder* builder) {
  const std::string prefix = "mesh_eval.";
  const MeshEvaluationOptions& options = plan.mesh_options;
  const auto failed = std::count_if(meshes.per_shape().begin(), meshes.per_shape().end(),
                                    [](const ShapeMeshes& shape) { return !shape.ok(); });
  builder->Note(prefix + "enabled", true)
      .Note(prefix + "pred_mode", predicted ? "ridge" : "context_distance");
  builder->Protocol(prefix + "grid_res", options.resolution);
  if (predicted) builder->Protocol(prefix + "chunk_n_query", plan.mesh_chunk);
  builder->Protocol(prefix + "mc_level", options.level)
      .Protocol(prefix + "num_samples", options.samples)
      .Protocol(prefix + "fscore_tau", options.taus[0])
      .Metric(prefix + "fail_count", static_cast<double>(failed))
      .Metric(prefix + "n_eval_shapes", meshes.per_shape_size());
  for (const MetricSummary& summary : meshes.summary()) {
    const std::string name = prefix + "summary." + summary.metric();
    builder->Metric(name + "_mean", summary.mean())
        .Metric(name + "_std", summary.std())
        .Metric(name + "_n", static_cast<double>(summary.n()));
  }
}

}  // namespace

ResultRecord CpacRecord(const CpacConfig& config, const CpacPlan& plan, const LoadedModel* model,
                        const LayoutOptions& layout, const FittedHead* head, const CompletionFields& fields,
                        const MeshEvaluation* meshes) {
  RecordBuilder builder("cpac");
  AddSettings(config, plan, head != nullptr, &builder);
  if (plan.test.shapes->AnySimulated() || (head != nullptr && plan.head_run->shapes->AnySimulated()))
    builder.Note("simulated", true);
  std::string label = config.label();
  if (model != nullptr) {
    AddPredictions(config, plan, fields, &builder);
    AddLipschitz(plan.head, *head, &builder);
    AddLayoutKeys(layout, model->header, &builder);
    builder.Note("ckpt", config.ckpt());
    if (label.empty()) label = LabelOf(config.ckpt());
  } else {
    AddErrors(config, fields.baseline, fields.truth, "", &builder);
    builder.Note("name", kBaseline).Note("baseline_only", true);
    if (label.empty()) label = kBaseline;
  }
  if (plan.baseline) {
    AddErrors(config, fields.baseline, fields.truth, "baseline.", &builder);
    builder.Note("baseline.name", kBaseline);
  } else {
    builder.NoteJson("baseline", "null");
  }
  if (meshes != nullptr) AddMeshes(plan, model != nullptr, *meshes, &builder);
  return builder.Finish(label, plan.test.shapes->fingerprint(), model != nullptr ? model->hash : "", "f32");
}

}  // namespace manyform

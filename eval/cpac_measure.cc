#include "eval/cpac_measure.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "eval/checkpoint_use.h"
#include "eval/completion_run.h"
#include "eval/cpac_plan.h"
#include "eval/cpac_record.h"
#include "eval/dense_field.h"
#include "eval/field_slice.h"
#include "eval/mesh_evaluation.h"
#include "eval/ridge.h"

namespace manyform {
namespace {

void Show(const CompletionRun& run, int64_t first, std::span<const CompletionSample> samples,
          CpacTrace* trace) {
  if (trace == nullptr || !trace->sample) return;
  for (size_t s = 0; s < samples.size(); ++s)
    trace->sample(run.path(first + static_cast<int64_t>(s)), samples[s]);
}

/// One measurement on its way.
struct Job {
  const CpacConfig* config;
  CpacPlan plan;
  StateOptions options;
  int64_t positions = 0;  ///< the model needs
  std::string head_key, test_key;
  std::unique_ptr<HeadBuilder> builder;
  FittedHead head;
  CompletionFields fields;
  CpacTrace* trace = nullptr;
};

/// Of settings with equal keys the same sequences are read the same way. What only the other pass, the head's
/// fit or the metrics look at is left out.
std::string PassKey(const CpacConfig& config, bool of_head, int64_t positions) {
  CpacConfig key = config;
  for (const char* name : {"ridge_lambda",
                           "ridge_lipschitz_lambda",
                           "ridge_lipschitz_pairs",
                           "ridge_lipschitz_steps",
                           "ridge_lipschitz_lr",
                           "ridge_lipschitz_max_points",
                           "ridge_lipschitz_seed",
                           "target_transform",
                           "target_trunc_max",
                           "target_log_scale",
                           "tau",
                           "report_near_tau",
                           "baseline",
                           "slice_shapes",
                           "label",
                           "settings",
                           "output",
                           "mesh_eval",
                           "mesh_eval_max_shapes",
                           "mesh_grid_res",
                           "mesh_chunk_n_query",
                           "mesh_mc_level",
                           "mesh_num_samples",
                           "mesh_fscore_tau",
                           "mesh_save_dir",
                           "mesh_store_per_shape"})
    key.GetReflection()->ClearField(&key, CpacConfig::descriptor()->FindFieldByName(name));
  if (!IsTransductive(config)) {
    key.clear_head_train_n();
    key.clear_head_train_ratio();
    if (of_head) {
      key.clear_max_shapes();
      key.clear_context_backend();
    }
  }
  if (of_head) {
    key.clear_context_mode_test();
  } else {
    key.clear_context_mode_train();
    key.clear_head_train_max_shapes();
    key.clear_head_train_backend();
    if (!IsTransductive(config)) key.clear_head_train_split();
  }
  return absl::StrCat(positions, " ", key.SerializeAsString());
}

int64_t LongestSequence(const CpacConfig& config, const Job& job) {
  const int64_t told =
      std::max(job.plan.test.options.ContextPoints(), job.plan.head_run->options.ContextPoints());
  return SequenceLength(told + config.n_query(), 0, job.options.layout);
}

/// How many points of a volume are asked at once: mesh_chunk_n_query, or what the positions leave room for.
/// More positions would be other ones for every measurement of this run.
int64_t MeshChunk(const CpacConfig& config, const Job& job) {
  const int64_t told = job.plan.test.options.ContextPoints(),
                fixed = SequenceLength(told, 0, job.options.layout);
  const int64_t each = SequenceLength(told + 1, 0, job.options.layout) - fixed;
  const int64_t fits = (job.positions - fixed) / each;
  if (fits < config.mesh_chunk_n_query()) {
    LogLine(absl::StrCat("mesh_chunk_n_query ", config.mesh_chunk_n_query(), " does not fit into ",
                         job.positions, " positions: ", fits, " points at once"));
  }
  return std::min<int64_t>(fits, config.mesh_chunk_n_query());
}

absl::StatusOr<Job> PlanJob(const CpacConfig& config, std::shared_ptr<const ShapeList> shapes,
                            std::shared_ptr<const ShapeList> head_shapes, const LoadedModel* model) {
  Job job = {.config = &config};
  MF_ASSIGN_OR_RETURN(job.plan, PlanCpac(config, std::move(shapes), std::move(head_shapes)));
  job.options = {.z_hat = config.rep_source() == "zhat", .batch = config.batch()};
  if (model != nullptr && !config.baseline_only()) {
    if (!job.plan.head_run) return absl::InvalidArgumentError("no shapes to fit the head on");
    MF_ASSIGN_OR_RETURN(job.options.layout, SequenceLayout(*model, config.add_eos(), config.qa_tokens()));
    MF_ASSIGN_OR_RETURN(job.positions, PositionsFor(*model, config.max_len(), LongestSequence(config, job)));
    if (job.plan.meshes) job.plan.mesh_chunk = MeshChunk(config, job);
    MF_ASSIGN_OR_RETURN(const int64_t queries, QueriesPerShape(*job.plan.head_run));
    job.builder = std::make_unique<HeadBuilder>(job.plan.head, job.plan.head_run->size(), queries,
                                                model->model.config().d_model);
  }
  job.head_key = PassKey(config, true, job.positions);
  job.test_key = PassKey(config, false, job.positions);
  return job;
}

absl::Status FitHeads(const QueryTransformer& model, std::span<Job* const> jobs) {
  const Job& one = *jobs.front();
  const CompletionRun& run = *one.plan.head_run;
  MF_RETURN_IF_ERROR(VisitCompletions(
      model, run, one.options,
      [&](int64_t first, std::span<const CompletionSample> samples, const at::Tensor& states) {
        Show(run, first, samples, one.trace);
        for (Job* const job : jobs) job->builder->Add(first, samples, states);
        return absl::OkStatus();
      }));
  for (Job* const job : jobs) {
    MF_ASSIGN_OR_RETURN(job->head, job->builder->Finish());
    job->builder.reset();
  }
  return absl::OkStatus();
}

absl::Status AddFields(std::span<const CompletionSample> samples, const at::Tensor& states, Job* job) {
  CompletionFields& fields = job->fields;
  for (const CompletionSample& sample : samples) {
    fields.truth.insert(fields.truth.end(), sample.query_distance.begin(), sample.query_distance.end());
    if (!job->plan.baseline) continue;
    MF_ASSIGN_OR_RETURN(const std::vector<float> copied,
                        CopyNearest(sample.context_xyz, sample.context_distance, sample.query_xyz));
    fields.baseline.insert(fields.baseline.end(), copied.begin(), copied.end());
  }
  if (!states.defined()) return absl::OkStatus();
  if (job->trace != nullptr) job->trace->x_test.push_back(states);
  const at::Tensor predicted = ApplyRidge(states, job->head.weights).contiguous();
  const float* values = predicted.const_data_ptr<float>();
  fields.predicted.insert(fields.predicted.end(), values, values + predicted.numel());
  return absl::OkStatus();
}

/// `model` null: the baseline alone.
absl::Status MeasureFields(const QueryTransformer* model, std::span<Job* const> jobs) {
  const Job& one = *jobs.front();
  const CompletionVisitor visit = [&](int64_t first, std::span<const CompletionSample> samples,
                                      const at::Tensor& states) -> absl::Status {
    Show(one.plan.test, first, samples, one.trace);
    for (Job* const job : jobs) MF_RETURN_IF_ERROR(AddFields(samples, states, job));
    return absl::OkStatus();
  };
  return model != nullptr ? VisitCompletions(*model, one.plan.test, one.options, visit)
                          : VisitSamples(one.plan.test, one.config->num_threads(), visit);
}

absl::StatusOr<MeshEvaluation> MeasureMeshes(const QueryTransformer* network, const Job& job) {
  const FieldPredictor predict = [&](const CompletionSample& context, const PointsF& points) {
    if (network == nullptr) return DistanceToContext(context, points);
    const Chunks chunks = ChunksInOrder(points.rows(), job.plan.mesh_chunk);
    return job.plan.head.transform.Inverse(
        PredictPoints(*network, job.head.weights, context, points, chunks, job.options));
  };
  return EvaluateMeshes(*job.plan.meshes, predict, job.plan.mesh_options);
}

absl::StatusOr<CpacResult> FinishJob(const LoadedModel* model, const QueryTransformer* network, Job* job) {
  const CpacPlan& plan = job->plan;
  CpacResult result;
  std::optional<MeshEvaluation> meshes;
  if (plan.meshes) {
    MF_ASSIGN_OR_RETURN(meshes, MeasureMeshes(network, *job));
  }
  *result.mutable_record() =
      CpacRecord(*job->config, plan, model, job->options.layout, model != nullptr ? &job->head : nullptr,
                 job->fields, meshes ? &*meshes : nullptr);
  if (meshes) {
    if (!job->config->mesh_store_per_shape()) meshes->clear_per_shape();
    *result.mutable_mesh_eval() = *std::move(meshes);
  }
  const int64_t slices = std::min<int64_t>(job->config->slice_shapes(), plan.test.size());
  for (int64_t i = 0; i < slices; ++i) {
    MF_ASSIGN_OR_RETURN(FieldSlice slice,
                        CompleteSlice(plan.test, i, network, job->head.weights, job->options));
    for (float& value : *slice.mutable_predicted()) value = plan.head.transform.Inverse(value);
    *result.add_slices() = std::move(slice);
  }
  return result;
}

using Groups = std::map<std::string, std::vector<Job*>>;

Groups GroupJobs(std::span<Job> jobs, std::string Job::*key) {
  Groups groups;
  for (Job& job : jobs) groups[job.*key].push_back(&job);
  return groups;
}

/// The model with as many positions as each group of jobs needs, from the one that was loaded.
QueryTransformer WithPositions(const QueryTransformer& loaded, int64_t positions) {
  QueryTransformer model = loaded;
  if (model.config().max_len != positions) model.ResizePositions(positions);
  return model;
}

absl::Status RunJobs(const LoadedModel* model, std::span<Job> jobs) {
  for (auto& [key, group] : GroupJobs(jobs, &Job::head_key)) {
    if (group.front()->builder == nullptr) continue;
    MF_RETURN_IF_ERROR(FitHeads(WithPositions(model->model, group.front()->positions), group));
  }
  for (auto& [key, group] : GroupJobs(jobs, &Job::test_key)) {
    if (group.front()->head.weights.defined()) {
      const QueryTransformer network = WithPositions(model->model, group.front()->positions);
      MF_RETURN_IF_ERROR(MeasureFields(&network, group));
    } else {
      MF_RETURN_IF_ERROR(MeasureFields(nullptr, group));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<CpacResult> FinishWith(const LoadedModel* model, Job* job) {
  if (!job->head.weights.defined()) return FinishJob(nullptr, nullptr, job);
  const QueryTransformer network = WithPositions(model->model, job->positions);
  return FinishJob(model, &network, job);
}

}  // namespace

absl::StatusOr<CpacResult> MeasureCpac(const CpacConfig& config, std::shared_ptr<const ShapeList> shapes,
                                       std::shared_ptr<const ShapeList> head_shapes, const LoadedModel* model,
                                       CpacTrace* trace) {
  std::vector<Job> jobs(1);
  MF_ASSIGN_OR_RETURN(jobs[0], PlanJob(config, std::move(shapes), std::move(head_shapes), model));
  jobs[0].trace = trace;
  if (trace != nullptr && jobs[0].builder != nullptr) jobs[0].builder->Record(&trace->rows);
  MF_RETURN_IF_ERROR(RunJobs(model, jobs));
  MF_ASSIGN_OR_RETURN(CpacResult result, FinishWith(model, &jobs[0]));
  if (trace != nullptr) {
    trace->head = jobs[0].head.weights;
    trace->predicted = std::move(jobs[0].fields.predicted);
    trace->truth = std::move(jobs[0].fields.truth);
  }
  return result;
}

absl::StatusOr<std::vector<CpacResult>> MeasureCpacs(std::span<const CpacConfig> configs,
                                                     std::shared_ptr<const ShapeList> shapes,
                                                     const OpenSplit& open_head, const LoadedModel* model) {
  std::vector<Job> jobs;
  for (const CpacConfig& config : configs) {
    MF_ASSIGN_OR_RETURN(std::shared_ptr<const ShapeList> head_shapes, open_head(config.head_train_split()));
    absl::StatusOr<Job> job = PlanJob(config, shapes, std::move(head_shapes), model);
    if (!job.ok()) {
      return absl::Status(
          job.status().code(),
          absl::StrCat(config.label(), config.label().empty() ? "" : ": ", job.status().message()));
    }
    jobs.push_back(*std::move(job));
  }
  MF_RETURN_IF_ERROR(RunJobs(model, jobs));
  std::vector<CpacResult> results;
  for (Job& job : jobs) {
    MF_ASSIGN_OR_RETURN(results.emplace_back(), FinishWith(model, &job));
  }
  return results;
}

}  // namespace manyform

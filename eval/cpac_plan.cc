#include "eval/cpac_plan.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/numpy_random.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

/// Test shapes are sampled from other streams than the head's.
constexpr int64_t kTestSeedOffset = 999;

absl::StatusOr<ContextMode> ParseContextMode(const std::string& name) {
  if (name == "normal") return ContextMode::kNormal;
  if (name == "none") return ContextMode::kNone;
  if (name == "mismatch") return ContextMode::kMismatch;
  return absl::InvalidArgumentError(
      absl::StrCat("a context mode is normal, none or mismatch, not \"", name, "\""));
}

double PoolFraction(const CpacConfig& config) {
  if (config.query_source() == "pool") return 1;
  return config.query_source() == "grid" ? 0 : config.query_pool_frac();
}

std::vector<int64_t> FirstMembers(int64_t n, int64_t most) {
  std::vector<int64_t> members(most > 0 ? std::min(n, most) : n);
  std::iota(members.begin(), members.end(), 0);
  return members;
}

absl::StatusOr<CompletionRun> MakeRun(const CpacConfig& config, std::shared_ptr<const ShapeList> shapes,
                                      const std::string& backend, const std::string& context_mode,
                                      int64_t seed) {
  CompletionRun run = {.shapes = std::move(shapes), .mismatch_shift = config.mismatch_shift(), .seed = seed};
  run.context = {.voxel_grid = config.voxel_grid(),
                 .voxel_dilate = config.voxel_dilate(),
                 .voxel_max_steps = config.voxel_max_steps()};
  MF_ASSIGN_OR_RETURN(run.context.backend, ParseBackend(backend));
  run.options = {.n_context = config.n_context(),
                 .n_query = config.n_query(),
                 .disjoint = config.disjoint_context_query(),
                 .pool_fraction = PoolFraction(config)};
  MF_ASSIGN_OR_RETURN(run.options.context_mode, ParseContextMode(context_mode));
  GridQueryOptions& grid = run.options.grid;
  grid.near_tau = config.grid_near_tau();
  grid.near_frac = config.grid_near_frac();
  grid.expand = config.grid_c2f_expand();
  MF_ASSIGN_OR_RETURN(grid.sampling, ParseGridSampling(config.grid_sample_mode()));
  MF_ASSIGN_OR_RETURN(grid.resolutions, ParseResolutions(config.grid_res_schedule()));
  MF_ASSIGN_OR_RETURN(grid.stage_weights, ParseStageWeights(config.grid_c2f_stage_weights()));
  if (grid.sampling == GridSampling::kCoarseToFine && grid.resolutions.empty())
    return absl::InvalidArgumentError("field grid_res_schedule is empty, coarse_to_fine needs a resolution");
  return run;
}

absl::StatusOr<HeadOptions> PlanHead(const CpacConfig& config) {
  HeadOptions head = {.ridge_lambda = config.ridge_lambda(),
                      .most_rows = config.head_train_n(),
                      .row_seed = static_cast<uint32_t>(config.eval_seed())};
  MF_ASSIGN_OR_RETURN(
      head.transform,
      ParseTargetTransform(config.target_transform(), config.target_trunc_max(), config.target_log_scale()));
  // A transformed target is no distance: the bound does not hold for it.
  if (config.ridge_lipschitz_lambda() > 0 && head.transform.kind == TargetTransform::Kind::kNone) {
    head.lipschitz = {.weight = config.ridge_lipschitz_lambda(),
                      .ridge_lambda = config.ridge_lambda(),
                      .pairs = config.ridge_lipschitz_pairs(),
                      .steps = config.ridge_lipschitz_steps(),
                      .learning_rate = config.ridge_lipschitz_lr()};
    head.lipschitz_rows = config.ridge_lipschitz_max_points();
    head.lipschitz_seed = static_cast<uint32_t>(config.ridge_lipschitz_seed() ^ config.eval_seed());
  }
  return head;
}

/// The legacy protocol: a shuffle of the measured shapes gives the head its first ones.
absl::Status SplitShapes(const CpacConfig& config, CpacPlan* plan) {
  std::vector<int64_t>& members = plan->test.members;
  const auto n = static_cast<int64_t>(members.size());
  NumpyRandomState random(static_cast<uint32_t>(config.eval_seed()));
  random.Shuffle(std::span(members));
  const auto by_ratio = static_cast<int64_t>(static_cast<double>(n) * config.head_train_ratio());
  const int64_t n_head = config.head_train_n() > 0 ? config.head_train_n() : std::max<int64_t>(by_ratio, 1);
  if (n_head >= n) {
    return absl::InvalidArgumentError(absl::StrCat("split ", plan->test.shapes->split(), " has ", n,
                                                   " shapes: a head fitted on ", n_head,
                                                   " of them leaves none to measure"));
  }
  plan->head_run->members.assign(members.begin(), members.begin() + n_head);
  members.erase(members.begin(), members.begin() + n_head);
  return absl::OkStatus();
}

absl::Status CheckMismatch(const CompletionRun& run, const char* field) {
  if (run.options.context_mode != ContextMode::kMismatch) return absl::OkStatus();
  if (run.mismatch_shift % run.size() != 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, "=mismatch with mismatch_shift ", run.mismatch_shift,
                                                 " tells each of the ", run.size(), " shapes of itself"));
}

void PlanMeshes(const CpacConfig& config, CpacPlan* plan) {
  plan->meshes = plan->test;
  plan->meshes->seed = config.eval_seed();
  plan->meshes->options.n_query = 0;
  plan->mesh_chunk = config.mesh_chunk_n_query();
  MeshEvaluationOptions& options = plan->mesh_options;
  options = {.most_shapes = config.mesh_eval_max_shapes(),
             .resolution = config.mesh_grid_res(),
             .level = config.mesh_mc_level(),
             .samples = config.mesh_num_samples(),
             .seed = static_cast<uint32_t>(config.eval_seed()),
             .save_dir = config.mesh_save_dir()};
  if (config.mesh_fscore_tau_size() > 0)
    options.taus.assign(config.mesh_fscore_tau().begin(), config.mesh_fscore_tau().end());
}

/// Says so where the published rule passes the weights over.
absl::Status NoteUnusedWeights(const CompletionRun& run) {
  const GridQueryOptions& grid = run.options.grid;
  if (grid.sampling != GridSampling::kCoarseToFine || grid.stage_weights.empty()) return absl::OkStatus();
  if (run.options.VoxelQueries() == 0) return absl::OkStatus();
  MF_ASSIGN_OR_RETURN(const DistanceGrid values, LoadDistanceGrid(*run.shapes, run.members[0]));
  const size_t stages = GridStages(grid.resolutions, values.g).size();
  if (grid.stage_weights.size() != stages) {
    LogLine(absl::StrCat("grid_c2f_stage_weights has ", grid.stage_weights.size(), " entries for ", stages,
                         " stages: shares 1, 2, 3 ... are used"));
  }
  return absl::OkStatus();
}

}  // namespace

bool IsTransductive(const CpacConfig& config) {
  return config.head_train_split().empty() || config.head_train_split() == "none";
}

absl::StatusOr<CpacPlan> PlanCpac(const CpacConfig& config, std::shared_ptr<const ShapeList> shapes,
                                  std::shared_ptr<const ShapeList> head_shapes) {
  CpacPlan plan = {.transductive = IsTransductive(config)};
  plan.baseline = config.baseline_only() || config.baseline() != "none";
  MF_ASSIGN_OR_RETURN(plan.head, PlanHead(config));
  MF_ASSIGN_OR_RETURN(plan.test, MakeRun(config, shapes, config.context_backend(), config.context_mode_test(),
                                         config.eval_seed() + kTestSeedOffset));
  plan.test.members = FirstMembers(shapes->size(), config.max_shapes());
  if (plan.transductive) {
    MF_ASSIGN_OR_RETURN(plan.head_run, MakeRun(config, shapes, config.context_backend(),
                                               config.context_mode_train(), config.eval_seed()));
    MF_RETURN_IF_ERROR(SplitShapes(config, &plan));
  } else if (head_shapes != nullptr) {
    MF_ASSIGN_OR_RETURN(plan.head_run, MakeRun(config, head_shapes, config.head_train_backend(),
                                               config.context_mode_train(), config.eval_seed()));
    plan.head_run->members = FirstMembers(head_shapes->size(), config.head_train_max_shapes());
  }
  if (config.mesh_eval()) PlanMeshes(config, &plan);
  MF_RETURN_IF_ERROR(CheckMismatch(plan.test, "context_mode_test"));
  if (plan.head_run) MF_RETURN_IF_ERROR(CheckMismatch(*plan.head_run, "context_mode_train"));
  MF_RETURN_IF_ERROR(NoteUnusedWeights(plan.test));
  return plan;
}

}  // namespace manyform

#include "train/finetune_state.h"

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "train/same_run.h"
#include "train/share_checkpoint.h"

namespace manyform {
namespace {

constexpr char kBestValidation[] = "best_val";
constexpr char kEpochSums[] = "epoch_sums";
constexpr char kHeadPrefix[] = "aux_heads.";

NamedTensors Copies(const NamedTensors& tensors) {
  NamedTensors copies;
  for (const auto& [name, tensor] : tensors) copies.emplace_back(name, tensor.detach().clone());
  return copies;
}

int64_t Classes(const FinetuneOrigin& origin) { return static_cast<int64_t>(origin.data.class_names.size()); }

FinetuneState MakeState(const FinetunePlan& plan, QueryTransformer model, ClassifierHead head,
                        c10::Device device) {
  const FinetuneConfig& config = plan.config;
  model.To(device);
  model.SetPrecision(plan.precision);
  head.To(device);
  model.SetRequiresGrad(!config.freeze_backbone());
  NamedTensors trained;
  if (!config.freeze_backbone()) trained = model.parameters();
  for (const auto& [name, tensor] : head.parameters())
    trained.emplace_back(absl::StrCat(kHeadPrefix, name), tensor);
  AdamW optimizer(std::move(trained), {.lr = config.lr(), .weight_decay = config.weight_decay()});
  return {std::move(model), std::move(head), std::move(optimizer)};
}

at::Tensor PackSums(const EpochSums& sums) {
  return at::tensor({sums.loss, sums.squared_gradients, static_cast<double>(sums.samples),
                     static_cast<double>(sums.right), static_cast<double>(sums.steps)},
                    at::kDouble);
}

absl::Status UnpackSums(const std::string& path, const at::Tensor& packed, EpochSums* sums) {
  if (packed.scalar_type() != at::kDouble || packed.numel() != 5)
    return absl::InvalidArgumentError(absl::StrCat(path, ": rng.", kEpochSums, ", expected 5 doubles"));
  const double* value = packed.const_data_ptr<double>();
  *sums = {.loss = value[0],
           .squared_gradients = value[1],
           .samples = static_cast<int64_t>(value[2]),
           .right = static_cast<int64_t>(value[3]),
           .steps = static_cast<int64_t>(value[4])};
  return absl::OkStatus();
}

at::Tensor Find(const NamedTensors& tensors, const char* name) {
  for (const auto& [key, tensor] : tensors)
    if (key == name) return tensor;
  return {};
}

absl::Status ReadBest(const std::string& path, const FinetuneOrigin& origin, BestEpoch* best) {
  MF_ASSIGN_OR_RETURN(Checkpoint from, ReadCheckpoint(path));
  MF_RETURN_IF_ERROR(CheckSameRun(path, from.header, origin.plan.config, origin.inputs));
  const at::Tensor validation = Find(from.rng, kBestValidation);
  if (!validation.defined() || validation.numel() != 1)
    return absl::InvalidArgumentError(absl::StrCat(path, ": no rng.", kBestValidation));
  *best = {.epoch = from.header.epoch() - 1,
           .step = from.header.step(),
           .validation = validation.item<double>(),
           .model = std::move(from.model),
           .head = std::move(from.aux_heads)};
  return absl::OkStatus();
}

Checkpoint Empty(const FinetuneOrigin& origin, int64_t epoch, int64_t step) {
  const FinetuneConfig& config = origin.plan.config;
  Checkpoint checkpoint;
  CheckpointHeader& header = checkpoint.header;
  header.set_stage("finetune");
  SetSizes(origin.plan.sizes, &header);
  header.set_epoch(epoch);
  header.set_step(step);
  header.set_n_point(config.n_point());
  header.set_n_ray(config.n_ray());
  header.set_qa_tokens(config.qa_tokens() == 1);
  header.set_qa_layout(config.qa_layout());
  header.set_add_eos(config.add_eos() == 1);
  header.set_objective("classification");
  header.set_config_fingerprint(RunFingerprint(config));
  header.set_config(RunConfigText(config));
  header.set_data_fingerprint(origin.inputs);
  for (const std::string& name : origin.data.class_names) header.add_class_names(name);
  return checkpoint;
}

}  // namespace

void FinetuneState::KeepAsBest(int64_t finished_epoch, double validation) {
  best = {.epoch = finished_epoch,
          .step = step,
          .validation = validation,
          .model = Copies(model.parameters()),
          .head = Copies(head.parameters())};
}

absl::Status FinetuneState::RestoreBest(const FinetunePlan& plan) {
  if (best.model.empty()) return absl::OkStatus();
  const c10::Device device = model.device();
  const int64_t classes = head.parameters()[1].second.size(0);
  MF_ASSIGN_OR_RETURN(model, QueryTransformer::FromTensors(plan.sizes, best.model));
  MF_ASSIGN_OR_RETURN(head, ClassifierHead::FromTensors(plan.sizes.d_model, classes, best.head));
  model.SetPrecision(plan.precision);
  model.To(device);
  head.To(device);
  return absl::OkStatus();
}

FinetuneState FreshFinetuneState(const FinetuneOrigin& origin, QueryTransformer model, c10::Device device) {
  ClassifierHead head(origin.plan.sizes.d_model, Classes(origin),
                      static_cast<uint64_t>(origin.plan.config.seed()));
  return MakeState(origin.plan, std::move(model), std::move(head), device);
}

absl::StatusOr<FinetuneState> ResumedFinetuneState(const FinetuneOrigin& origin, c10::Device device,
                                                   const std::string& last, const std::string& best) {
  MF_ASSIGN_OR_RETURN(const Checkpoint from, ReadCheckpoint(last));
  MF_RETURN_IF_ERROR(CheckSameRun(last, from.header, origin.plan.config, origin.inputs));
  MF_ASSIGN_OR_RETURN(QueryTransformer model, QueryTransformer::FromTensors(origin.plan.sizes, from.model));
  MF_ASSIGN_OR_RETURN(ClassifierHead head, ClassifierHead::FromTensors(origin.plan.sizes.d_model,
                                                                       Classes(origin), from.aux_heads));
  FinetuneState state = MakeState(origin.plan, std::move(model), std::move(head), device);
  state.optimizer.Load(from);
  state.epoch = from.header.epoch();
  state.step = from.header.step();
  if (const at::Tensor sums = Find(from.rng, kEpochSums); sums.defined())
    MF_RETURN_IF_ERROR(UnpackSums(last, sums, &state.sums));
  LogLine(absl::StrCat("going on from ", last, ": ", state.epoch, " epochs, ", state.step, " steps done"));
  // A best epoch beyond the last checkpoint is one whose end was lost; it will be the best again.
  if (const at::Tensor validation = Find(from.rng, kBestValidation);
      validation.defined() && validation.item<double>() >= 0)
    MF_RETURN_IF_ERROR(ReadBest(best, origin, &state.best));
  return state;
}

absl::Status ShareFinetuneState(const FinetuneOrigin& origin, FinetuneState* state, ProcessGroup* group) {
  if (group->alone()) return absl::OkStatus();
  BestEpoch& best = state->best;
  MF_RETURN_IF_ERROR(ShareCheckpoint(LastCheckpoint(*state, origin), origin.plan.config.epochs(),
                                     {&state->epoch, &state->step, &best.epoch, &best.step}, group));
  const at::Tensor sums = PackSums(state->sums);
  MF_RETURN_IF_ERROR(group->Broadcast(sums));
  MF_RETURN_IF_ERROR(UnpackSums("of the first process", sums, &state->sums));
  if (best.epoch < 0) {
    best = {};
    return absl::OkStatus();
  }
  const at::Tensor validation = at::scalar_tensor(best.validation, at::kDouble);
  MF_RETURN_IF_ERROR(group->Broadcast(validation));
  best.validation = validation.item<double>();
  if (best.model.empty()) {
    best.model = Copies(state->model.parameters());
    best.head = Copies(state->head.parameters());
  }
  for (const NamedTensors* tensors : {&best.model, &best.head})
    for (const auto& [name, tensor] : *tensors) MF_RETURN_IF_ERROR(group->Broadcast(tensor));
  return absl::OkStatus();
}

Checkpoint LastCheckpoint(const FinetuneState& state, const FinetuneOrigin& origin) {
  Checkpoint checkpoint = Empty(origin, state.epoch, state.step);
  checkpoint.model = state.model.parameters();
  checkpoint.aux_heads = state.head.parameters();
  state.optimizer.Save(&checkpoint);
  checkpoint.rng.emplace_back(kBestValidation, at::scalar_tensor(state.best.validation, at::kDouble));
  checkpoint.rng.emplace_back(kEpochSums, PackSums(state.sums));
  return checkpoint;
}

Checkpoint BestCheckpoint(const FinetuneState& state, const FinetuneOrigin& origin) {
  Checkpoint checkpoint = Empty(origin, state.best.epoch + 1, state.best.step);
  checkpoint.model = state.best.model;
  checkpoint.aux_heads = state.best.head;
  checkpoint.rng.emplace_back(kBestValidation, at::scalar_tensor(state.best.validation, at::kDouble));
  return checkpoint;
}

}  // namespace manyform

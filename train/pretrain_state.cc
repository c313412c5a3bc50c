#include "train/pretrain_state.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "train/pretrain_options.h"
#include "train/same_run.h"

namespace manyform {
namespace {

constexpr char kBatchCounter[] = "batch";
constexpr char kHeadPrefix[] = "aux_heads.";
constexpr char kPositions[] = "pos_emb";

int64_t TotalBatches(const PretrainConfig& config, const Corpus& corpus) {
  return config.epochs() * BatchesPerEpoch(corpus.draws_per_epoch, config.batch());
}

NamedTensors Trained(const QueryTransformer& model, const NamedTensors& heads) {
  NamedTensors all = model.parameters();
  for (const auto& [name, tensor] : heads) all.emplace_back(kHeadPrefix + name, tensor);
  return all;
}

absl::StatusOr<PretrainState> MakeState(const PretrainConfig& config, const Corpus& corpus,
                                        QueryTransformer model, const NamedTensors* heads,
                                        c10::Device device) {
  model.To(device);
  MF_ASSIGN_OR_RETURN(const Precision precision, ParsePrecision(config.precision()));
  if (precision == Precision::kBf16 && !HasBf16Arithmetic(device))
    LogLine("precision=bf16: this processor has no arithmetic for it; f32 is faster here");
  model.SetPrecision(precision);
  MF_ASSIGN_OR_RETURN(
      PretrainObjective objective,
      PretrainObjective::Create(config, model.config().max_len, TotalBatches(config, corpus), heads, device));
  AdamW optimizer(Trained(model, objective.heads()),
                  {.lr = config.lr(), .weight_decay = config.weight_decay()});
  return PretrainState{std::move(model), std::move(objective), std::move(optimizer), {}};
}

// Moments of a resized position embedding, resized as it was; squares stay squares: no value is negative.
void ResizeMoments(NamedTensors* moments, int64_t max_len) {
  for (auto& [name, tensor] : *moments)
    if (name == kPositions && tensor.dim() == 3)
      tensor = at::upsample_linear1d(tensor.transpose(1, 2), {max_len}, /*align_corners=*/false)
                   .transpose(1, 2)
                   .contiguous();
}

// Of everything outside the config that the weights come from.
std::string DataFingerprint(const PretrainState& state, const Corpus& corpus) {
  const std::string& teacher = state.objective.teacher_hash();
  return teacher.empty() ? corpus.fingerprint : Sha256Hex(absl::StrCat(corpus.fingerprint, teacher));
}

std::vector<std::string> Names(const NamedTensors& tensors) {
  std::vector<std::string> names;
  names.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

// Takes over what the resume_ options allow of the optimizer's state.
void LoadOptimizer(const PretrainConfig& config, bool resized, bool same_heads, Checkpoint from,
                   PretrainState* state) {
  if (!config.resume_optimizer()) return LogLine("optimizer state starts afresh: resume_optimizer=false");
  if (!same_heads) return LogLine("optimizer state starts afresh: the auxiliary heads are others");
  if (resized && !config.resume_optimizer_partial())
    return LogLine("optimizer state starts afresh: the position embedding is resized");
  if (resized && config.resume_pos_emb_moments() == "resize")
    for (NamedTensors* moments : {&from.exp_avg, &from.exp_avg_sq})
      ResizeMoments(moments, state->model.config().max_len);
  const std::vector<std::string> fresh = state->optimizer.Load(from);
  if (!fresh.empty())
    LogLine(absl::StrCat("optimizer state starts afresh for ", fresh.size(), " tensors: ", fresh[0],
                         fresh.size() > 1 ? ", ..." : ""));
}

}  // namespace

absl::StatusOr<PretrainState> FreshPretrainState(const PretrainConfig& config, const Corpus& corpus,
                                                 int64_t longest, c10::Device device) {
  MF_ASSIGN_OR_RETURN(const TransformerConfig sizes, TransformerConfigOf(config, longest));
  MF_ASSIGN_OR_RETURN(QueryTransformer model,
                      QueryTransformer::Create(sizes, static_cast<uint64_t>(config.seed())));
  return MakeState(config, corpus, std::move(model), nullptr, device);
}

absl::StatusOr<PretrainState> ResumedPretrainState(const PretrainConfig& config, const Corpus& corpus,
                                                   int64_t longest, c10::Device device,
                                                   const std::string& path, bool same_run) {
  MF_ASSIGN_OR_RETURN(Checkpoint from, ReadCheckpoint(path));
  if (same_run) MF_RETURN_IF_ERROR(CheckSameRun(path, from.header, config, from.header.data_fingerprint()));
  MF_ASSIGN_OR_RETURN(TransformerConfig sizes, TransformerConfigOf(config, longest));
  const int64_t max_len = sizes.max_len;
  sizes.max_len = from.header.max_len();
  absl::StatusOr<QueryTransformer> model = QueryTransformer::FromTensors(sizes, from.model);
  if (!model.ok())
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::string(model.status().message())));
  const bool resized = max_len != sizes.max_len;
  if (resized) {
    LogLine(absl::StrCat("position embedding resized from ", sizes.max_len, " to ", max_len));
    model->ResizePositions(max_len);
  }
  const NamedTensors wanted = FreshAuxiliaryHeads(AuxiliaryOptionsOf(config), config.d_model(), 0);
  const bool same_heads = Names(wanted) == Names(from.aux_heads);
  MF_ASSIGN_OR_RETURN(PretrainState state, MakeState(config, corpus, *std::move(model),
                                                     same_heads ? &from.aux_heads : nullptr, device));
  if (same_run) MF_RETURN_IF_ERROR(CheckSameRun(path, from.header, config, DataFingerprint(state, corpus)));
  state.at = {.epoch = from.header.epoch(), .step = from.header.step()};
  for (const auto& [name, tensor] : from.rng)
    if (name == kBatchCounter && tensor.numel() == 1) state.at.batch = tensor.item<int64_t>();
  // Another corpus has other batches; what was done of the interrupted epoch is not part of it.
  if (!same_run || state.at.batch < 0 ||
      state.at.batch >= BatchesPerEpoch(corpus.draws_per_epoch, config.batch()))
    state.at.batch = 0;
  if (same_run) {
    state.optimizer.Load(from);
  } else {
    LoadOptimizer(config, resized, same_heads, std::move(from), &state);
  }
  LogLine(
      absl::StrCat("going on from ", path, ": ", state.at.epoch, " epochs, ", state.at.step, " steps done"));
  return state;
}

Checkpoint PretrainCheckpoint(const PretrainState& state, const PretrainConfig& config,
                              const Corpus& corpus) {
  Checkpoint checkpoint;
  CheckpointHeader& header = checkpoint.header;
  header.set_stage("pretrain");
  SetSizes(state.model.config(), &header);
  header.set_epoch(state.at.epoch);
  header.set_step(state.at.step);
  // What the latest batches had; the schedules were checked when the run began.
  const SequenceSizes sizes = SequenceSizesOf(config).value();
  const int64_t epoch = std::max<int64_t>(0, state.at.batch > 0 ? state.at.epoch : state.at.epoch - 1);
  header.set_n_point(static_cast<int32_t>(sizes.n_point.At(epoch)));
  header.set_n_ray(static_cast<int32_t>(sizes.n_ray.At(epoch)));
  header.set_qa_tokens(config.qa_tokens());
  header.set_qa_layout(config.qa_layout());
  header.set_add_eos(corpus.datasets[0].tokens.layout.add_eos);
  header.set_objective(config.objective());
  header.set_config_fingerprint(RunFingerprint(config));
  header.set_config(RunConfigText(config));
  header.set_data_fingerprint(DataFingerprint(state, corpus));
  checkpoint.model = state.model.parameters();
  checkpoint.aux_heads = state.objective.heads();
  state.optimizer.Save(&checkpoint);
  checkpoint.rng.emplace_back(kBatchCounter, at::scalar_tensor(state.at.batch, at::kLong));
  return checkpoint;
}

}  // namespace manyform

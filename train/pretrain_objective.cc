#include "train/pretrain_objective.h"

#include <ATen/ATen.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/numpy_random.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "model/attention_masks.h"
#include "model/checkpoint.h"
#include "train/objectives.h"
#include "train/pretrain_options.h"

namespace manyform {
namespace {

// The cycle's view is masked on its own.
constexpr uint32_t kCycleSeed = 17;

absl::StatusOr<LoadedModel> LoadTeacher(const PretrainConfig& config, int64_t max_len, c10::Device device) {
  MF_ASSIGN_OR_RETURN(LoadedModel teacher, LoadModel(config.teacher_ckpt(), device));
  const TransformerConfig& sizes = teacher.model.config();
  const int64_t n_types = config.qa_tokens() ? 9 : 5;
  if (sizes.d_model != config.d_model() || sizes.n_types != n_types)
    return absl::InvalidArgumentError(
        absl::StrCat("teacher_ckpt: ", config.teacher_ckpt(), " has d_model ", sizes.d_model, " and ",
                     sizes.n_types, " token types, expected ", config.d_model(), " and ", n_types));
  if (sizes.max_len != max_len) {
    LogLine(absl::StrCat("the teacher's position embedding resized from ", sizes.max_len, " to ", max_len));
    teacher.model.ResizePositions(max_len);
  }
  MF_ASSIGN_OR_RETURN(const Precision precision, ParsePrecision(config.precision()));
  teacher.model.SetPrecision(precision);
  NoteInput(config.teacher_ckpt(), teacher.hash);
  return teacher;
}

}  // namespace

PretrainObjective::PretrainObjective(const PretrainConfig& config, const DualMaskSchedule& dual_mask)
    : mae_(config.objective() == "mae"),
      mask_ratio_(config.mask_ratio()),
      seed_(config.seed()),
      auxiliary_(AuxiliaryOptionsOf(config)),
      dual_mask_(dual_mask) {}

absl::StatusOr<PretrainObjective> PretrainObjective::Create(const PretrainConfig& config, int64_t max_len,
                                                            int64_t total_batches, const NamedTensors* heads,
                                                            c10::Device device) {
  MF_ASSIGN_OR_RETURN(const DualMaskSchedule dual_mask, DualMaskScheduleOf(config, total_batches));
  PretrainObjective objective(config, dual_mask);
  if (heads != nullptr) {
    MF_ASSIGN_OR_RETURN(objective.heads_,
                        CheckedAuxiliaryHeads(objective.auxiliary_, config.d_model(), *heads));
  } else {
    objective.heads_ =
        FreshAuxiliaryHeads(objective.auxiliary_, config.d_model(), static_cast<uint64_t>(config.seed()));
  }
  for (auto& [name, head] : objective.heads_) head = head.detach().to(device).set_requires_grad(true);
  if (objective.auxiliary_.teacher_distill_weight > 0) {
    MF_ASSIGN_OR_RETURN(LoadedModel teacher, LoadTeacher(config, max_len, device));
    objective.teacher_ = std::move(teacher.model);
    objective.teacher_hash_ = std::move(teacher.hash);
  }
  return objective;
}

absl::StatusOr<PreparedBatch> PretrainObjective::Prepare(const at::Tensor& feat, const at::Tensor& type_id,
                                                         int64_t batch, int64_t total, const BatchPart& part,
                                                         ProcessGroup* group) const {
  PreparedBatch prepared = {.feat = feat, .type_id = type_id};
  const at::Tensor hit = mae_ ? at::Tensor() : HitTokens(feat, type_id);
  MF_ASSIGN_OR_RETURN(const WholeBatch whole, GatherBatch(type_id, hit, part, group));
  // Draws are the whole batch's, so that they do not depend on who has which of its sequences.
  if (mae_) {
    NumpyRandomState random(Md5Prefix32(absl::StrCat("mask ", seed_, " ", batch)));
    const at::Tensor masked = MaskTokens(whole.type_id, mask_ratio_, random);
    prepared.masked = masked.narrow(0, part.first, type_id.size(0)).to(feat.device());
    prepared.totals = {masked.sum().item<int64_t>()};
    return prepared;
  }
  prepared.answers = HasAnswers(whole.type_id);
  DualMask mask = dual_mask_.At(batch, total);
  if (mask.active()) {
    prepared.blocked = DualMaskBlocked(mask, whole.type_id).to(feat.device());
    mask.seed += kCycleSeed;
    if (auxiliary_.cycle_weight > 0)
      prepared.cycle_blocked = DualMaskBlocked(mask, whole.type_id).to(feat.device());
  }
  NumpyRandomState random(Md5Prefix32(absl::StrCat("auxiliary ", seed_, " ", batch)));
  prepared.draws = DrawsOf(DrawAuxiliary(auxiliary_, whole.hit, random), part.first, type_id.size(0));
  MF_ASSIGN_OR_RETURN(
      prepared.totals,
      TotalsOf(CountMeans(feat, type_id, prepared.answers, auxiliary_, prepared.draws), group));
  return prepared;
}

LossTerms PretrainObjective::Loss(const QueryTransformer& model, const PreparedBatch& batch, int64_t first,
                                  int64_t count) const {
  const at::Tensor feat = batch.feat.narrow(0, first, count), type_id = batch.type_id.narrow(0, first, count);
  std::vector<LossTerm> terms;
  if (mae_) {
    const at::Tensor masked = batch.masked.narrow(0, first, count);
    terms = {{"mae", 1, {{MaeLoss(model, feat, type_id, masked), masked.sum().item<int64_t>()}}}};
  } else {
    terms = NepaWithAuxiliary({.model = &model,
                               .teacher = teacher_ ? &*teacher_ : nullptr,
                               .heads = &heads_,
                               .feat = feat,
                               .type_id = type_id,
                               .blocked = batch.blocked,
                               .cycle_blocked = batch.cycle_blocked,
                               .answers = batch.answers},
                              auxiliary_, DrawsOf(batch.draws, first, count));
  }
  std::vector<double> shares;
  for (const LossTerm& term : terms) {
    for (const CountedMean& mean : term.means) {
      const int64_t all = batch.totals[shares.size()];
      shares.push_back(all > 0 ? static_cast<double>(mean.count) / static_cast<double>(all) : 1);
    }
  }
  return SumOf(terms, shares);
}

}  // namespace manyform

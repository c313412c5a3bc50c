#include "train/pretrain_objective.h"

#include <ATen/ATen.h>

#include <string>
#include <utility>

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

PretrainObjective::PretrainObjective(const PretrainConfig& config, DualMaskSchedule dual_mask)
    : mae_(config.objective() == "mae"),
      mask_ratio_(config.mask_ratio()),
      seed_(config.seed()),
      auxiliary_(AuxiliaryOptionsOf(config)),
      dual_mask_(std::move(dual_mask)) {}

absl::StatusOr<PretrainObjective> PretrainObjective::Create(const PretrainConfig& config, int64_t max_len,
                                                            int64_t total_batches, const NamedTensors* heads,
                                                            c10::Device device) {
  MF_ASSIGN_OR_RETURN(DualMaskSchedule dual_mask, DualMaskScheduleOf(config, total_batches));
  PretrainObjective objective(config, std::move(dual_mask));
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

LossTerms PretrainObjective::Loss(const QueryTransformer& model, const at::Tensor& feat,
                                  const at::Tensor& type_id, int64_t batch, int64_t total) const {
  if (mae_) {
    NumpyRandomState random(Md5Prefix32(absl::StrCat("mask ", seed_, " ", batch)));
    const at::Tensor masked = MaskTokens(type_id, mask_ratio_, random).to(feat.device());
    LossTerms terms;
    terms.total = MaeLoss(model, feat, type_id, masked);
    terms.parts.emplace_back("mae", terms.total.detach());
    return terms;
  }
  AuxiliaryInputs in = {.model = &model,
                        .teacher = teacher_ ? &*teacher_ : nullptr,
                        .heads = &heads_,
                        .feat = feat,
                        .type_id = type_id};
  DualMask mask = dual_mask_.At(batch, total);
  if (mask.active()) {
    in.blocked = DualMaskBlocked(mask, type_id);
    mask.seed += kCycleSeed;
    if (auxiliary_.cycle_weight > 0) in.cycle_blocked = DualMaskBlocked(mask, type_id);
  }
  NumpyRandomState random(Md5Prefix32(absl::StrCat("auxiliary ", seed_, " ", batch)));
  return NepaWithAuxiliary(in, auxiliary_, DrawAuxiliary(auxiliary_, feat, type_id, random));
}

}  // namespace manyform

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

// Sums the shares of all processes, but for the graph.
absl::StatusOr<PretrainLoss> WholeLoss(const std::vector<LossTerm>& terms, ProcessGroup* group) {
  std::vector<int64_t> counts;
  for (const LossTerm& term : terms)
    for (const CountedMean& mean : term.means) counts.push_back(mean.count);
  MF_ASSIGN_OR_RETURN(const std::vector<double> shares, SharesOf(counts, group));
  PretrainLoss loss{.terms = SumOf(terms, shares)};
  loss.value = loss.terms.total.item<double>();
  if (group->alone()) return loss;
  std::vector<double> values = {loss.value};
  for (const auto& [name, part] : loss.terms.parts) values.push_back(part.item<double>());
  MF_RETURN_IF_ERROR(group->AllReduceSum(values));
  loss.value = values[0];
  for (size_t i = 1; i < values.size(); ++i)
    loss.terms.parts[i - 1].second = at::scalar_tensor(values[i], at::kDouble);
  return loss;
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

std::vector<LossTerm> PretrainObjective::MaeTerms(const QueryTransformer& model, const at::Tensor& feat,
                                                  const at::Tensor& type_id, int64_t batch,
                                                  const WholeBatch& whole, int64_t first) const {
  NumpyRandomState random(Md5Prefix32(absl::StrCat("mask ", seed_, " ", batch)));
  const at::Tensor masked =
      MaskTokens(whole.type_id, mask_ratio_, random).narrow(0, first, type_id.size(0)).to(feat.device());
  return {{"mae", 1, {{MaeLoss(model, feat, type_id, masked), masked.sum().item<int64_t>()}}}};
}

std::vector<LossTerm> PretrainObjective::NepaTerms(const QueryTransformer& model, const at::Tensor& feat,
                                                   const at::Tensor& type_id, int64_t batch, int64_t total,
                                                   const WholeBatch& whole, int64_t first) const {
  AuxiliaryInputs in = {.model = &model,
                        .teacher = teacher_ ? &*teacher_ : nullptr,
                        .heads = &heads_,
                        .feat = feat,
                        .type_id = type_id,
                        .answers = HasAnswers(whole.type_id)};
  DualMask mask = dual_mask_.At(batch, total);
  if (mask.active()) {
    in.blocked = DualMaskBlocked(mask, whole.type_id).to(feat.device());
    mask.seed += kCycleSeed;
    if (auxiliary_.cycle_weight > 0)
      in.cycle_blocked = DualMaskBlocked(mask, whole.type_id).to(feat.device());
  }
  NumpyRandomState random(Md5Prefix32(absl::StrCat("auxiliary ", seed_, " ", batch)));
  // Draws are the whole batch's, so that they do not depend on who has which of its sequences.
  const AuxiliaryDraws draws = DrawAuxiliary(auxiliary_, whole.hit, random);
  return NepaWithAuxiliary(in, auxiliary_, DrawsOf(draws, first, type_id.size(0)));
}

absl::StatusOr<PretrainLoss> PretrainObjective::Loss(const QueryTransformer& model, const at::Tensor& feat,
                                                     const at::Tensor& type_id, int64_t batch, int64_t total,
                                                     const BatchPart& part, ProcessGroup* group) const {
  const at::Tensor hit = mae_ ? at::Tensor() : HitTokens(feat, type_id);
  MF_ASSIGN_OR_RETURN(const WholeBatch whole, GatherBatch(type_id, hit, part, group));
  const std::vector<LossTerm> terms = mae_ ? MaeTerms(model, feat, type_id, batch, whole, part.first)
                                           : NepaTerms(model, feat, type_id, batch, total, whole, part.first);
  return WholeLoss(terms, group);
}

}  // namespace manyform

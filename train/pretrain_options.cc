#include "train/pretrain_options.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

absl::Status Bad(absl::string_view field, absl::string_view why) {
  return BadConfigError(absl::StrCat(field, ": ", why));
}

absl::Status Useless(absl::string_view field, absl::string_view why) {
  return Bad(field, absl::StrCat("has no effect ", why));
}

absl::Status CheckObjective(const PretrainConfig& config) {
  const std::pair<const char*, double> terms[] = {{"aux_b2_weight", config.aux_b2_weight()},
                                                  {"aux_b3_weight", config.aux_b3_weight()},
                                                  {"aux_e_weight", config.aux_e_weight()},
                                                  {"teacher_distill_weight", config.teacher_distill_weight()},
                                                  {"cycle_weight", config.cycle_weight()},
                                                  {"d_hard_weight", config.d_hard_weight()},
                                                  {"dual_mask_near", config.dual_mask_near()},
                                                  {"dual_mask_far", config.dual_mask_far()}};
  if (config.objective() == "mae")
    for (const auto& [name, value] : terms)
      if (value > 0) return Useless(name, "with objective=mae");
  const bool teaches = config.teacher_distill_weight() > 0;
  if (teaches && config.teacher_ckpt().empty())
    return Bad("teacher_ckpt", "needed by teacher_distill_weight");
  if (!teaches && !config.teacher_ckpt().empty())
    return Useless("teacher_ckpt", "while teacher_distill_weight is 0");
  if (!teaches && config.teacher_answer_drop_prob() > 0)
    return Useless("teacher_answer_drop_prob", "while teacher_distill_weight is 0");
  return absl::OkStatus();
}

absl::Status CheckArchitecture(PretrainConfig* config) {
  if (config->arch() != "encdec") {
    if (config->topo_k() > 0) return Useless("topo_k", "with arch=causal");
    if (config->encdec_src_causal()) return Useless("encdec_src_causal", "with arch=causal");
    return absl::OkStatus();
  }
  if (config->dual_mask_near() > 0 || config->dual_mask_far() > 0)
    return Useless("dual_mask_near, dual_mask_far", "with arch=encdec");
  if (!config->qa_tokens() || config->qa_layout() != "split") {
    LogLine("arch=encdec implies qa_tokens=true qa_layout=split");
    config->set_qa_tokens(true);
    config->set_qa_layout("split");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CompletePretrainConfig(PretrainConfig* config) {
  MF_RETURN_IF_ERROR(CheckObjective(*config));
  MF_RETURN_IF_ERROR(CheckArchitecture(config));
  if (config->lr_schedule() == "constant" && config->lr_min() > 0)
    return Useless("lr_min", "with lr_schedule=constant");
  if (config->lr_min() > config->lr())
    return Bad("lr_min", absl::StrCat(config->lr_min(), ", expected at most lr = ", config->lr()));
  return absl::OkStatus();
}

absl::StatusOr<SequenceSizes> SequenceSizesOf(const PretrainConfig& config) {
  MF_ASSIGN_OR_RETURN(SizeSchedule n_point,
                      SizeSchedule::Parse("n_point_schedule", config.n_point_schedule(), config.n_point()));
  MF_ASSIGN_OR_RETURN(SizeSchedule n_ray,
                      SizeSchedule::Parse("n_ray_schedule", config.n_ray_schedule(), config.n_ray()));
  return SequenceSizes{std::move(n_point), std::move(n_ray)};
}

absl::StatusOr<TransformerConfig> TransformerConfigOf(const PretrainConfig& config, int64_t longest) {
  TransformerConfig sizes{.d_model = config.d_model(),
                          .layers = config.layers(),
                          .heads = config.heads(),
                          .n_types = config.qa_tokens() ? 9 : 5,
                          .max_len = config.max_len() < 0 ? longest : config.max_len(),
                          .encdec_src_causal = config.encdec_src_causal()};
  MF_ASSIGN_OR_RETURN(sizes.arch, ParseArchitecture(config.arch()));
  sizes.topology = {.k = config.topo_k(), .ray_box = config.topo_ray_bbox()};
  MF_ASSIGN_OR_RETURN(sizes.topology.ray_place, ParseRayPlace(config.topo_ray_coord()));
  if (sizes.max_len < longest)
    return Bad("max_len", absl::StrCat(sizes.max_len, " positions are too few for ", longest, " tokens"));
  return sizes;
}

AuxiliaryOptions AuxiliaryOptionsOf(const PretrainConfig& config) {
  return {.aux_b2_weight = config.aux_b2_weight(),
          .aux_b2_hit_weight = config.aux_b2_hit_weight(),
          .aux_b2_t_weight = config.aux_b2_t_weight(),
          .aux_b2_rank_weight = config.aux_b2_rank_weight(),
          .aux_b2_rank_pairs = config.aux_b2_rank_pairs(),
          .aux_b2_rank_margin = config.aux_b2_rank_margin(),
          .aux_b3_weight = config.aux_b3_weight(),
          .aux_b3_near_tau = config.aux_b3_near_tau(),
          .aux_e_weight = config.aux_e_weight(),
          .teacher_distill_weight = config.teacher_distill_weight(),
          .teacher_answer_drop_prob = config.teacher_answer_drop_prob(),
          .cycle_weight = config.cycle_weight(),
          .cycle_answer_drop_prob = config.cycle_answer_drop_prob(),
          .d_hard_weight = config.d_hard_weight(),
          .d_hard_top_frac = config.d_hard_top_frac(),
          .d_hard_min_tokens = config.d_hard_min_tokens()};
}

absl::StatusOr<DualMaskSchedule> DualMaskScheduleOf(const PretrainConfig& config, int64_t total_batches) {
  MF_ASSIGN_OR_RETURN(const SequenceSizes sizes, SequenceSizesOf(config));
  DualMaskSchedule schedule;
  schedule.full = {.near = config.dual_mask_near(),
                   .far = config.dual_mask_far(),
                   .window = config.dual_mask_window(),
                   .type_aware = config.dual_mask_type_aware()};
  schedule.warmup_frac = config.dual_mask_warmup_frac();
  schedule.total_steps = total_batches;
  MF_ASSIGN_OR_RETURN(schedule.window_scale, ParseWindowScale(config.dual_mask_window_scale()));
  schedule.reference_total =
      config.dual_mask_window_ref_total() < 0 ? sizes.Total(0) : config.dual_mask_window_ref_total();
  schedule.seed = config.seed();
  return schedule;
}

LearningRateSchedule LearningRateScheduleOf(const PretrainConfig& config, int64_t total_steps) {
  return {.peak = config.lr(),
          .cosine = config.lr_schedule() == "cosine",
          .least = config.lr_min(),
          .warmup_steps = config.lr_warmup_steps(),
          .total_steps = total_steps};
}

}  // namespace manyform

#include "train/finetune_plan.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "data/token_options.h"
#include "google/protobuf/text_format.h"
#include "model/checkpoint.h"

namespace manyform {
namespace {

constexpr int64_t kLegacyTypes = 5, kQaTypes = 9;

absl::Status Bad(const std::string& field, const std::string& why) {
  return BadConfigError(absl::StrCat(field, ": ", why));
}

absl::Status CheckTogether(const FinetuneConfig& config) {
  for (const auto& [name, k] :
       {std::pair("mc_eval_k_val", config.mc_eval_k_val()), {"mc_eval_k_test", config.mc_eval_k_test()}})
    if (k == 0) return Bad(name, "0, expected -1 or at least 1");
  if (config.lr_schedule() == "constant" && config.lr_min() > 0)
    return Bad("lr_min", "has no effect with lr_schedule=constant");
  if (config.lr_min() > config.lr())
    return Bad("lr_min", absl::StrCat(config.lr_min(), ", expected at most lr = ", config.lr()));
  return absl::OkStatus();
}

// How the checkpoint's sequences were made. Its header says sizes and layout; gradients and uncertainty are
// in the config that made it.
absl::StatusOr<TokenOptions> TokensOf(const CheckpointHeader& from) {
  PretrainConfig pretrained;
  FinetuneConfig finetuned;
  google::protobuf::Message* config = &pretrained;
  if (from.stage() == "finetune") config = &finetuned;
  google::protobuf::TextFormat::Parser parser;
  parser.AllowUnknownField(true);
  if (!parser.ParseFromString(from.config(), config))
    return absl::InvalidArgumentError(
        "ckpt: the config in the checkpoint's header is no textproto of the program that made it");
  TokenOptions made, tokens;
  MF_RETURN_IF_ERROR(SetTokenOptions(*config, &made));
  tokens.gradient = made.gradient;
  tokens.uncertainty = made.uncertainty;
  tokens.n_point = from.n_point();
  tokens.n_ray = from.n_ray();
  tokens.layout = {.qa_tokens = from.qa_tokens(), .add_eos = from.add_eos()};
  MF_ASSIGN_OR_RETURN(tokens.layout.qa_layout, ParseQaLayout(from.qa_layout()));
  return tokens;
}

int64_t CappedSize(const char* field, int64_t wanted, int64_t pretrained, bool allow_scale_up) {
  if (wanted <= pretrained || allow_scale_up) return wanted;
  LogLine(absl::StrCat(field, ": ", wanted, " is more than pretraining's ", pretrained,
                       ", which is used; allow_scale_up=1 takes all"));
  return pretrained;
}

// The checkpoint's options, the given ones on top.
absl::StatusOr<TokenOptions> PlanTokens(const FinetuneConfig& given, const CheckpointHeader* from) {
  TokenOptions tokens;
  if (from != nullptr) {
    MF_ASSIGN_OR_RETURN(tokens, TokensOf(*from));
  }
  MF_RETURN_IF_ERROR(SetTokenOptions(given, &tokens));
  if (from == nullptr) return tokens;
  tokens.n_point = CappedSize("n_point", tokens.n_point, from->n_point(), given.allow_scale_up());
  tokens.n_ray = CappedSize("n_ray", tokens.n_ray, from->n_ray(), given.allow_scale_up());
  return tokens;
}

void WriteTokens(const TokenOptions& tokens, FinetuneConfig* config) {
  config->set_n_point(static_cast<int32_t>(tokens.n_point));
  config->set_n_ray(static_cast<int32_t>(tokens.n_ray));
  config->set_qa_tokens(tokens.layout.qa_tokens ? 1 : 0);
  config->set_qa_layout(tokens.layout.qa_layout == QaLayout::kSplit ? "split" : "interleave");
  config->set_add_eos(tokens.layout.add_eos ? 1 : 0);
  config->set_include_pt_grad(tokens.gradient.include);
  config->set_pt_grad_mode(tokens.gradient.inverse_distance ? "log" : "raw");
  config->set_pt_grad_eps(tokens.gradient.eps);
  config->set_pt_grad_clip(tokens.gradient.clip);
  config->set_pt_grad_orient(tokens.gradient.against_ray ? "ray" : "none");
  config->set_include_ray_unc(tokens.uncertainty.include);
  config->set_ray_unc_k(static_cast<int32_t>(tokens.uncertainty.k));
  config->set_aug_rotate_z(tokens.augment.rotate_z);
  config->set_aug_scale_min(tokens.augment.scale_min);
  config->set_aug_scale_max(tokens.augment.scale_max);
  config->set_aug_translate(tokens.augment.translate);
}

void WriteFallbacks(FinetuneConfig* config) {
  if (config->train_backend().empty()) config->set_train_backend(config->backend());
  if (config->eval_backend().empty()) config->set_eval_backend(config->backend());
  if (config->mc_eval_k_val() < 0) config->set_mc_eval_k_val(config->mc_eval_k());
  if (config->mc_eval_k_test() < 0) config->set_mc_eval_k_test(config->mc_eval_k());
  if (config->fewshot_way_seed() < 0) config->set_fewshot_way_seed(config->fewshot_seed());
}

// The sizes of the model but for its length.
absl::Status SetModelSizes(const CheckpointHeader* from, FinetunePlan* plan) {
  FinetuneConfig& config = plan->config;
  const bool qa = config.qa_tokens() == 1;
  if (from == nullptr) {
    plan->sizes = {.d_model = config.d_model(),
                   .layers = config.layers(),
                   .heads = config.heads(),
                   .n_types = qa ? kQaTypes : kLegacyTypes};
    return absl::OkStatus();
  }
  plan->sizes = ConfigOf(*from);
  // As LoadModel has it, whatever the model was pretrained with.
  plan->sizes.encdec_src_causal = false;
  if (qa && plan->sizes.n_types < kQaTypes)
    return Bad("qa_tokens", absl::StrCat("the checkpoint knows only ", plan->sizes.n_types,
                                         " token types, query and answer tokens need ", kQaTypes));
  const auto own = [](const char* field, bool given, int64_t wanted, int64_t has) {
    return !given || wanted == has ? absl::OkStatus()
                                   : Bad(field, absl::StrCat(wanted, ", but the checkpoint has ", has));
  };
  MF_RETURN_IF_ERROR(own("d_model", config.has_d_model(), config.d_model(), from->d_model()));
  MF_RETURN_IF_ERROR(own("layers", config.has_layers(), config.layers(), from->layers()));
  MF_RETURN_IF_ERROR(own("heads", config.has_heads(), config.heads(), from->heads()));
  config.set_d_model(from->d_model());
  config.set_layers(from->layers());
  config.set_heads(from->heads());
  return absl::OkStatus();
}

// The encoder reads queries and the decoder answers, the latter causally; what is behind them has no state.
absl::Status CheckArchitecture(const FinetunePlan& plan) {
  if (plan.sizes.arch == Architecture::kCausal) return absl::OkStatus();
  const FinetuneConfig& config = plan.config;
  if (config.qa_tokens() != 1) return Bad("qa_tokens", "0, but an encdec checkpoint needs 1");
  if (config.qa_layout() != "split")
    return Bad("qa_layout", "interleave, but an encdec checkpoint needs split");
  if (config.cls_is_causal()) return Bad("cls_is_causal", "has no effect with an encdec checkpoint");
  if (config.cls_pooling() == "eos")
    return Bad("cls_pooling", "eos, where an encdec checkpoint has no hidden state");
  return absl::OkStatus();
}

absl::Status SetMaxLen(const CheckpointHeader* from, FinetunePlan* plan) {
  FinetuneConfig& config = plan->config;
  TokenOptions tokens;
  MF_RETURN_IF_ERROR(SetTokenOptions(config, &tokens));
  const int64_t length = SequenceLength(tokens.n_point, tokens.n_ray, tokens.layout);
  int64_t max_len = from != nullptr ? from->max_len() : length;
  if (config.max_len() > 0) max_len = config.max_len();
  if (max_len < length && config.max_len() <= 0 && config.allow_scale_up()) max_len = length;
  if (max_len < length)
    return Bad("max_len", absl::StrCat(max_len, " positions are too few for ", length,
                                       " tokens; allow_scale_up=1 or a larger max_len resizes them"));
  config.set_max_len(static_cast<int32_t>(max_len));
  plan->sizes.max_len = max_len;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FinetunePlan> PlanFinetune(const FinetuneConfig& given, const CheckpointHeader* from) {
  MF_RETURN_IF_ERROR(CheckTogether(given));
  MF_ASSIGN_OR_RETURN(const TokenOptions tokens, PlanTokens(given, from));
  FinetunePlan plan{.config = given};
  MF_ASSIGN_OR_RETURN(plan.precision, ParsePrecision(given.precision()));
  WriteTokens(tokens, &plan.config);
  WriteFallbacks(&plan.config);
  MF_RETURN_IF_ERROR(SetModelSizes(from, &plan));
  MF_RETURN_IF_ERROR(CheckArchitecture(plan));
  MF_RETURN_IF_ERROR(SetMaxLen(from, &plan));
  return plan;
}

}  // namespace manyform

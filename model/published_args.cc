#include "model/published_args.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/status_macros.h"
#include "google/protobuf/text_format.h"
#include "model/checkpoint.h"
#include "nlohmann/json.hpp"
#include "proto/options.pb.h"

namespace manyform {
namespace {

using Json = nlohmann::json;

constexpr int kQaTypes = 9;
constexpr char kLayers[] = ".layers.";
// What a header is made of: a value that is none of ours is an error. Others are for the record.
constexpr const char* kNeeded[] = {
    "heads",   "d_model",   "layers", "n_point", "n_ray",          "qa_tokens",     "qa_layout",
    "add_eos", "objective", "arch",   "topo_k",  "topo_ray_coord", "topo_ray_bbox", "encdec_src_causal"};

absl::Status Bad(const std::string& name, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", what));
}

// As a config override would have it; nothing for what is no single value.
std::optional<std::string> ValueText(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean() || value.is_number()) return value.dump();
  return std::nullopt;
}

// Arguments that pretraining has options for, as published programs and ours name them.
absl::StatusOr<PretrainConfig> ConfigOfArgs(const std::string& name, const Json& args,
                                            std::vector<std::string>* remarks) {
  PretrainConfig config;
  for (const auto& [key, value] : args.items()) {
    const auto* field = PretrainConfig::descriptor()->FindFieldByName(key);
    const std::optional<std::string> text = ValueText(value);
    if (field == nullptr || field->options().GetExtension(not_in_fingerprint) || !text) continue;
    PretrainConfig one;
    absl::Status status = ApplyOverride(absl::StrCat(key, "=", *text), &one);
    if (status.ok()) status = CheckConfig(one);
    if (status.ok()) {
      config.MergeFrom(one);
    } else if (std::find(std::begin(kNeeded), std::end(kNeeded), key) != std::end(kNeeded)) {
      return Bad(name, absl::StrCat("args: ", std::string(status.message())));
    } else {
      remarks->push_back(absl::StrCat("args: kept, but no option here: ", std::string(status.message())));
    }
  }
  return config;
}

// What names and shapes of a state_dict say; the heads they do not.
absl::StatusOr<TransformerConfig> SizesOfWeights(const std::string& name, const NamedTensors& weights) {
  const absl::flat_hash_map<std::string, at::Tensor> tensors(weights.begin(), weights.end());
  const auto positions = tensors.find("pos_emb"), types = tensors.find("type_emb.weight");
  if (positions == tensors.end() || types == tensors.end() || positions->second.dim() != 3 ||
      types->second.dim() != 2)
    return Bad(name, "no transformer's state_dict: expected pos_emb (1,T,d) and type_emb.weight (types,d)");
  TransformerConfig sizes;
  sizes.max_len = positions->second.size(1);
  sizes.d_model = positions->second.size(2);
  sizes.n_types = types->second.size(0);
  sizes.layers = 0;
  for (const auto& [tensor, value] : weights) {
    if (absl::StartsWith(tensor, "backbone.decoder.")) sizes.arch = Architecture::kEncoderDecoder;
    const size_t at = tensor.find(kLayers);
    if (at == std::string::npos) continue;
    const std::string rest = tensor.substr(at + sizeof(kLayers) - 1);
    int64_t layer = 0;
    if (absl::SimpleAtoi(rest.substr(0, rest.find('.')), &layer) && layer < INT32_MAX)
      sizes.layers = std::max(sizes.layers, layer + 1);
  }
  return sizes;
}

absl::Status CheckAgreement(const std::string& name, const PretrainConfig& config,
                            const TransformerConfig& sizes) {
  const auto differ = [&](const char* what, const auto& said, const auto& is) {
    return Bad(name, absl::StrCat("args: ", what, " = ", said, ", but the weights have ", is));
  };
  if (!config.has_heads()) return Bad(name, "args: no heads, which no tensor tells");
  if (config.has_d_model() && config.d_model() != sizes.d_model)
    return differ("d_model", config.d_model(), sizes.d_model);
  if (config.has_layers() && config.layers() != sizes.layers)
    return differ("layers", config.layers(), sizes.layers);
  if (config.has_arch() && config.arch() != ArchitectureName(sizes.arch))
    return differ("arch", config.arch(), ArchitectureName(sizes.arch));
  if (config.qa_tokens() && sizes.n_types < kQaTypes)
    return differ("qa_tokens", 1, absl::StrCat(sizes.n_types, " token types"));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CheckpointHeader> HeaderOfArgs(const std::string& name, const std::string& args,
                                              const NamedTensors& weights,
                                              std::vector<std::string>* remarks) {
  const Json given = Json::parse(args, nullptr, /*allow_exceptions=*/false);
  if (!given.is_object()) return Bad(name, "args: no JSON object");
  MF_ASSIGN_OR_RETURN(const PretrainConfig config, ConfigOfArgs(name, given, remarks));
  MF_ASSIGN_OR_RETURN(TransformerConfig sizes, SizesOfWeights(name, weights));
  MF_RETURN_IF_ERROR(CheckAgreement(name, config, sizes));
  sizes.heads = config.heads();
  sizes.topology.k = config.topo_k();
  MF_ASSIGN_OR_RETURN(sizes.topology.ray_place, ParseRayPlace(config.topo_ray_coord()));
  sizes.topology.ray_box = config.topo_ray_bbox();
  sizes.encdec_src_causal = config.encdec_src_causal();

  CheckpointHeader header;
  header.set_stage("pretrain");
  SetSizes(sizes, &header);
  header.set_n_point(config.n_point());
  header.set_n_ray(config.n_ray());
  header.set_qa_tokens(config.has_qa_tokens() ? config.qa_tokens() : sizes.n_types >= kQaTypes);
  header.set_qa_layout(sizes.arch == Architecture::kEncoderDecoder ? "split" : config.qa_layout());
  header.set_add_eos(config.add_eos());
  header.set_objective(config.objective());
  std::string text;
  google::protobuf::TextFormat::PrintToString(config, &text);
  header.set_config(text);
  header.set_published_args(args);
  return header;
}

std::string ArgsOfHeader(const CheckpointHeader& header) {
  Json args = Json::parse(header.published_args(), nullptr, /*allow_exceptions=*/false);
  if (!args.is_object()) args = Json::object();
  const TransformerConfig sizes = ConfigOf(header);
  args["d_model"] = sizes.d_model;
  args["layers"] = sizes.layers;
  args["heads"] = sizes.heads;
  args["max_len"] = sizes.max_len;
  args["arch"] = ArchitectureName(sizes.arch);
  args["topo_k"] = sizes.topology.k;
  args["topo_ray_coord"] = RayPlaceName(sizes.topology.ray_place);
  args["topo_ray_bbox"] = sizes.topology.ray_box;
  args["encdec_src_causal"] = sizes.encdec_src_causal ? 1 : 0;
  args["n_point"] = header.n_point();
  args["n_ray"] = header.n_ray();
  args["qa_tokens"] = header.qa_tokens() ? 1 : 0;
  if (!header.qa_layout().empty()) args["qa_layout"] = header.qa_layout();
  args["add_eos"] = header.add_eos() ? 1 : 0;
  if (header.stage() == "pretrain") args["objective"] = header.objective();
  return args.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace manyform

#include "model/transformer_parameters.h"

#include <ATen/ATen.h>

#include <cmath>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "base/numpy_random.h"
#include "base/status_macros.h"
#include "model/attention.h"

namespace manyform {
namespace {

using Shapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

constexpr int64_t kFeat = 15;

absl::Status CheckSize(const char* name, int64_t value, int64_t max) {
  if (value >= 1 && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("transformer: ", name, " = ", value, ", expected 1 to ", max));
}

absl::Status CheckTransformerConfig(const TransformerConfig& config) {
  MF_RETURN_IF_ERROR(CheckSize("d_model", config.d_model, 65536));
  MF_RETURN_IF_ERROR(CheckSize("layers", config.layers, 1000));
  MF_RETURN_IF_ERROR(CheckSize("heads", config.heads, 1024));
  MF_RETURN_IF_ERROR(CheckSize("n_types", config.n_types, 256));
  MF_RETURN_IF_ERROR(CheckSize("max_len", config.max_len, 1 << 26));
  if (config.d_model % config.heads != 0)
    return absl::InvalidArgumentError(
        absl::StrCat("transformer: heads = ", config.heads, " does not divide d_model = ", config.d_model));
  return absl::OkStatus();
}

// How a fresh value is drawn: torch.nn's defaults for Linear, MultiheadAttention, LayerNorm and Embedding.
enum class Init { kZero, kOne, kUniform, kNormal };
struct Distribution {
  Init kind = Init::kZero;
  double scale = 0;  // bound of a uniform, sigma of a normal
};

// `shapes` gives the fan-in of the weight that a bias belongs to.
Distribution DistributionOf(const std::string& name, const std::vector<int64_t>& shape,
                            const absl::flat_hash_map<std::string, std::vector<int64_t>>& shapes) {
  // trunc_normal_ cuts at +-2, not at two sigmas: never.
  if (name == "pos_emb") return {Init::kNormal, 0.02};
  if (name == "type_emb.weight") return {Init::kNormal, 1};
  if (absl::StrContains(name, ".norm") || absl::StrContains(name, "_ln."))
    return {absl::EndsWith(name, "weight") ? Init::kOne : Init::kZero, 0};
  if (absl::EndsWith(name, "in_proj_weight"))  // Xavier over the three projections as one matrix
    return {Init::kUniform, std::sqrt(6.0 / static_cast<double>(shape[0] + shape[1]))};
  if (absl::EndsWith(name, "in_proj_bias") || absl::EndsWith(name, "out_proj.bias")) return {Init::kZero, 0};
  const std::string weight =
      absl::EndsWith(name, ".bias") ? absl::StrCat(name.substr(0, name.size() - 4), "weight") : name;
  return {Init::kUniform, 1 / std::sqrt(static_cast<double>(shapes.at(weight)[1]))};
}

// A stream per tensor: a layer's weights do not depend on what else the model has. All layers start as copies
// of the first (PyTorch's TransformerEncoder).
at::Tensor FreshTensor(const std::string& name, const std::vector<int64_t>& shape,
                       const Distribution& distribution, uint64_t seed) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  NumpyRandomState random(Md5Prefix32(absl::StrCat("weights ", seed, " ", name)));
  float* values = tensor.data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    double value = distribution.kind == Init::kOne ? 1 : 0;
    if (distribution.kind == Init::kUniform) value = random.Uniform(-distribution.scale, distribution.scale);
    if (distribution.kind == Init::kNormal) value = distribution.scale * random.Normal();
    values[i] = static_cast<float>(value);
  }
  return tensor;
}

std::string ShapeText(c10::IntArrayRef shape) { return absl::StrCat("[", absl::StrJoin(shape, ","), "]"); }

// The name within its layer of a stack that starts as copies of one layer, and that layer's name; else
// nothing.
std::string FirstLayerName(const std::string& name) {
  const size_t at = name.find(".layers.");
  if (at == std::string::npos) return "";
  const size_t number = at + sizeof(".layers.") - 1, rest = name.find('.', number);
  return absl::StrCat(name.substr(0, number), "0", name.substr(rest));
}

}  // namespace

const char* ArchitectureName(Architecture architecture) {
  return architecture == Architecture::kCausal ? "causal" : "encdec";
}

absl::StatusOr<Architecture> ParseArchitecture(const std::string& name) {
  for (const Architecture architecture : {Architecture::kCausal, Architecture::kEncoderDecoder})
    if (name == ArchitectureName(architecture)) return architecture;
  return absl::InvalidArgumentError(absl::StrCat("arch: '", name, "', expected causal or encdec"));
}

absl::StatusOr<Shapes> ParameterShapes(const TransformerConfig& config) {
  MF_RETURN_IF_ERROR(CheckTransformerConfig(config));
  const int64_t d = config.d_model;
  Shapes shapes = {
      {"pos_emb", {1, config.max_len, d}}, {"type_emb.weight", {config.n_types, d}},
      {"token_mlp.0.weight", {d, kFeat}},  {"token_mlp.0.bias", {d}},
      {"token_mlp.2.weight", {d, d}},      {"token_mlp.2.bias", {d}},
  };
  const auto add_stack = [&](absl::string_view stack, bool decoder) {
    for (int64_t i = 0; i < config.layers; ++i)
      for (const auto& [name, shape] : TransformerLayer::Shapes(d, decoder))
        shapes.emplace_back(absl::StrCat("backbone.", stack, ".layers.", i, ".", name), shape);
  };
  if (config.arch == Architecture::kCausal) {
    add_stack("enc", false);
  } else {
    add_stack("encoder", false);
    add_stack("decoder", true);
    for (const char* norm : {"enc_ln", "dec_ln"})
      for (const char* part : {"weight", "bias"})
        shapes.emplace_back(absl::StrCat("backbone.", norm, ".", part), std::vector<int64_t>{d});
  }
  shapes.emplace_back("pred_head.weight", std::vector<int64_t>{d, d});
  shapes.emplace_back("pred_head.bias", std::vector<int64_t>{d});
  return shapes;
}

absl::StatusOr<NamedTensors> FreshParameters(const TransformerConfig& config, uint64_t seed) {
  MF_ASSIGN_OR_RETURN(const Shapes shapes, ParameterShapes(config));
  const absl::flat_hash_map<std::string, std::vector<int64_t>> by_name(shapes.begin(), shapes.end());
  absl::flat_hash_map<std::string, at::Tensor> fresh;
  NamedTensors parameters;
  for (const auto& [name, shape] : shapes) {
    const auto first = fresh.find(FirstLayerName(name));
    parameters.emplace_back(name, first != fresh.end()
                                      ? first->second.clone()
                                      : FreshTensor(name, shape, DistributionOf(name, shape, by_name), seed));
    fresh[name] = parameters.back().second;
  }
  return parameters;
}

absl::StatusOr<NamedTensors> CheckedParameters(const TransformerConfig& config, const NamedTensors& tensors) {
  MF_ASSIGN_OR_RETURN(const Shapes shapes, ParameterShapes(config));
  absl::flat_hash_map<std::string, at::Tensor> given;
  for (const auto& [name, tensor] : tensors)
    if (!given.emplace(name, tensor).second)
      return absl::InvalidArgumentError(absl::StrCat("transformer: tensor '", name, "' comes twice"));
  NamedTensors parameters;
  for (const auto& [name, shape] : shapes) {
    const auto found = given.find(name);
    if (found == given.end())
      return absl::InvalidArgumentError(absl::StrCat("transformer: tensor '", name, "' is missing"));
    const at::Tensor& tensor = found->second;
    if (tensor.scalar_type() != at::kFloat || tensor.sizes() != shape)
      return absl::InvalidArgumentError(
          absl::StrCat("transformer: tensor '", name, "' is ", c10::toString(tensor.scalar_type()), " ",
                       ShapeText(tensor.sizes()), ", expected Float ", ShapeText(shape)));
    parameters.emplace_back(name, tensor.detach().clone(at::MemoryFormat::Contiguous));
    given.erase(found);
  }
  for (const auto& [name, tensor] : tensors)
    if (given.contains(name))
      return absl::InvalidArgumentError(absl::StrCat("transformer: surplus tensor '", name, "'"));
  return parameters;
}

}  // namespace manyform

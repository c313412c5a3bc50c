#include "model/query_transformer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "base/numpy_random.h"
#include "base/status_macros.h"
#include "model/feed_forward.h"

namespace manyform {
namespace {

using Shapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

constexpr int64_t kFeat = 15;
constexpr double kLayerNormEps = 1e-5;
constexpr char kLayerPrefix[] = "backbone.enc.layers.";

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
  if (absl::StrContains(name, ".norm")) return {absl::EndsWith(name, "weight") ? Init::kOne : Init::kZero, 0};
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

}  // namespace

absl::StatusOr<Shapes> ParameterShapes(const TransformerConfig& config) {
  MF_RETURN_IF_ERROR(CheckTransformerConfig(config));
  const int64_t d = config.d_model;
  Shapes shapes = {
      {"pos_emb", {1, config.max_len, d}}, {"type_emb.weight", {config.n_types, d}},
      {"token_mlp.0.weight", {d, kFeat}},  {"token_mlp.0.bias", {d}},
      {"token_mlp.2.weight", {d, d}},      {"token_mlp.2.bias", {d}},
  };
  for (int64_t i = 0; i < config.layers; ++i) {
    const Shapes layer = {
        {"self_attn.in_proj_weight", {3 * d, d}},
        {"self_attn.in_proj_bias", {3 * d}},
        {"self_attn.out_proj.weight", {d, d}},
        {"self_attn.out_proj.bias", {d}},
        {"linear1.weight", {4 * d, d}},
        {"linear1.bias", {4 * d}},
        {"linear2.weight", {d, 4 * d}},
        {"linear2.bias", {d}},
        {"norm1.weight", {d}},
        {"norm1.bias", {d}},
        {"norm2.weight", {d}},
        {"norm2.bias", {d}},
    };
    for (const auto& [name, shape] : layer)
      shapes.emplace_back(absl::StrCat(kLayerPrefix, i, ".", name), shape);
  }
  shapes.emplace_back("pred_head.weight", std::vector<int64_t>{d, d});
  shapes.emplace_back("pred_head.bias", std::vector<int64_t>{d});
  return shapes;
}

absl::StatusOr<QueryTransformer> QueryTransformer::Create(const TransformerConfig& config, uint64_t seed) {
  MF_ASSIGN_OR_RETURN(const Shapes shapes, ParameterShapes(config));
  const absl::flat_hash_map<std::string, std::vector<int64_t>> by_name(shapes.begin(), shapes.end());
  const std::string first = absl::StrCat(kLayerPrefix, 0, ".");
  absl::flat_hash_map<std::string, at::Tensor> first_layer;
  QueryTransformer model;
  model.config_ = config;
  for (const auto& [name, shape] : shapes) {
    at::Tensor tensor;
    if (absl::StartsWith(name, kLayerPrefix) && !absl::StartsWith(name, first)) {
      const size_t dot = name.find('.', sizeof(kLayerPrefix) - 1);
      tensor = first_layer.at(name.substr(dot + 1)).clone();
    } else {
      tensor = FreshTensor(name, shape, DistributionOf(name, shape, by_name), seed);
      if (absl::StartsWith(name, first)) first_layer[name.substr(first.size())] = tensor;
    }
    model.parameters_.emplace_back(name, tensor);
  }
  model.SetRequiresGrad(true);
  model.Bind();
  return model;
}

absl::StatusOr<QueryTransformer> QueryTransformer::FromTensors(const TransformerConfig& config,
                                                               const NamedTensors& tensors) {
  MF_ASSIGN_OR_RETURN(const Shapes shapes, ParameterShapes(config));
  absl::flat_hash_map<std::string, at::Tensor> given;
  for (const auto& [name, tensor] : tensors)
    if (!given.emplace(name, tensor).second)
      return absl::InvalidArgumentError(absl::StrCat("transformer: tensor '", name, "' comes twice"));
  QueryTransformer model;
  model.config_ = config;
  for (const auto& [name, shape] : shapes) {
    const auto found = given.find(name);
    if (found == given.end())
      return absl::InvalidArgumentError(absl::StrCat("transformer: tensor '", name, "' is missing"));
    const at::Tensor& tensor = found->second;
    if (tensor.scalar_type() != at::kFloat || tensor.sizes() != shape)
      return absl::InvalidArgumentError(
          absl::StrCat("transformer: tensor '", name, "' is ", c10::toString(tensor.scalar_type()), " ",
                       ShapeText(tensor.sizes()), ", expected Float ", ShapeText(shape)));
    model.parameters_.emplace_back(name, tensor.detach().clone(at::MemoryFormat::Contiguous));
    given.erase(found);
  }
  for (const auto& [name, tensor] : tensors)
    if (given.contains(name))
      return absl::InvalidArgumentError(absl::StrCat("transformer: surplus tensor '", name, "'"));
  model.SetRequiresGrad(true);
  model.Bind();
  return model;
}

void QueryTransformer::To(c10::Device device) {
  for (auto& [name, tensor] : parameters_)
    tensor = tensor.detach().to(device).requires_grad_(tensor.requires_grad());
  Bind();
}

void QueryTransformer::SetRequiresGrad(bool value) {
  for (auto& [name, tensor] : parameters_) tensor.set_requires_grad(value);
}

void QueryTransformer::Bind() {
  auto next = parameters_.begin();
  const auto take = [&] { return (next++)->second; };
  for (at::Tensor* member : {&pos_emb_, &type_emb_, &mlp0_w_, &mlp0_b_, &mlp2_w_, &mlp2_b_}) *member = take();
  layers_.resize(static_cast<size_t>(config_.layers));
  for (Layer& l : layers_)
    for (at::Tensor* member : {&l.in_w, &l.in_b, &l.out_w, &l.out_b, &l.linear1_w, &l.linear1_b, &l.linear2_w,
                               &l.linear2_b, &l.norm1_w, &l.norm1_b, &l.norm2_w, &l.norm2_b})
      *member = take();
  head_w_ = take();
  head_b_ = take();
}

at::Tensor QueryTransformer::Embed(const at::Tensor& feat, const at::Tensor& type_id) const {
  const at::Tensor inner = at::gelu(at::linear(feat, mlp0_w_, mlp0_b_));
  const at::Tensor place = pos_emb_.slice(1, 0, feat.size(1));
  return at::linear(inner, mlp2_w_, mlp2_b_) + at::embedding(type_emb_, type_id) + place;
}

at::Tensor QueryTransformer::Attend(const Layer& layer, const at::Tensor& x, bool causal) const {
  const int64_t batch = x.size(0), length = x.size(1), d = config_.d_model;
  const at::Tensor normed = at::layer_norm(x, {d}, layer.norm1_w, layer.norm1_b, kLayerNormEps);
  const at::Tensor qkv = at::linear(normed, layer.in_w, layer.in_b)
                             .view({batch, length, 3, config_.heads, d / config_.heads})
                             .permute({2, 0, 3, 1, 4});
  const at::Tensor mixed = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], {}, 0.0, causal);
  return mixed.transpose(1, 2).reshape({batch, length, d});
}

Hidden QueryTransformer::Forward(const at::Tensor& feat, const at::Tensor& type_id,
                                 const ForwardOptions& options) const {
  Hidden out;
  out.z = Embed(feat, type_id);
  at::Tensor x = out.z;
  for (const Layer& layer : layers_) {
    at::Tensor mixed = Attend(layer, x, options.causal);
    if (&layer == &layers_.back() && options.rows.defined()) {
      mixed = mixed.flatten(0, 1).index_select(0, options.rows);
      x = x.flatten(0, 1).index_select(0, options.rows);
    }
    x = x + at::linear(mixed, layer.out_w, layer.out_b);
    const at::Tensor normed =
        at::layer_norm(x, {config_.d_model}, layer.norm2_w, layer.norm2_b, kLayerNormEps);
    x = x + FeedForward(normed, layer.linear1_w, layer.linear1_b, layer.linear2_w, layer.linear2_b);
  }
  out.h = x;
  if (options.need_z_hat) out.z_hat = at::linear(x, head_w_, head_b_);
  return out;
}

void QueryTransformer::ResizePositions(int64_t max_len) {
  const bool grad = pos_emb_.requires_grad();
  at::Tensor& stored = parameters_.front().second;
  stored = at::upsample_linear1d(stored.detach().transpose(1, 2), {max_len}, /*align_corners=*/false)
               .transpose(1, 2)
               .contiguous()
               .set_requires_grad(grad);
  config_.max_len = max_len;
  Bind();
}

}  // namespace manyform

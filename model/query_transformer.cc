#include "model/query_transformer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <initializer_list>

#include "base/status_macros.h"
#include "model/token_types.h"

namespace manyform {
namespace {

// The first answer, which has to be at one place in all sequences that have answers; the length if none has.
int64_t FirstAnswer(const at::Tensor& type_id) {
  const at::Tensor types = type_id.cpu().contiguous();
  const int64_t batch = types.size(0), length = types.size(1);
  int64_t first = length;
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t* type = types.const_data_ptr<int64_t>() + b * length;
    int64_t t = 0;
    while (t < length && !TokenTypes::IsAnswer(type[t])) ++t;
    if (t == length) continue;
    TORCH_CHECK(first == length || first == t, "encdec: answers start at token ", first, " and at token ", t,
                " of sequences of one batch, expected one place");
    first = t;
  }
  return first;
}

at::Tensor FutureBlocked(int64_t length, c10::Device device) {
  return at::ones({length, length}, at::TensorOptions(at::kBool).device(device)).triu(1);
}

}  // namespace

absl::StatusOr<QueryTransformer> QueryTransformer::Create(const TransformerConfig& config, uint64_t seed) {
  QueryTransformer model;
  model.config_ = config;
  MF_ASSIGN_OR_RETURN(model.parameters_, FreshParameters(config, seed));
  model.SetRequiresGrad(true);
  model.Bind();
  return model;
}

absl::StatusOr<QueryTransformer> QueryTransformer::FromTensors(const TransformerConfig& config,
                                                               const NamedTensors& tensors) {
  QueryTransformer model;
  model.config_ = config;
  MF_ASSIGN_OR_RETURN(model.parameters_, CheckedParameters(config, tensors));
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
  const auto take = [&](std::initializer_list<at::Tensor*> members) {
    for (at::Tensor* member : members) *member = (next++)->second;
  };
  const auto take_stack = [&](std::vector<TransformerLayer>& stack, bool decoder) {
    stack.assign(static_cast<size_t>(config_.layers), TransformerLayer{.decoder = decoder});
    for (TransformerLayer& layer : stack)
      for (at::Tensor* member : layer.Members()) take({member});
  };
  take({&pos_emb_, &type_emb_, &mlp0_w_, &mlp0_b_, &mlp2_w_, &mlp2_b_});
  take_stack(encoder_, false);
  if (config_.arch == Architecture::kEncoderDecoder) {
    take_stack(decoder_, true);
    take({&encoder_norm_.w, &encoder_norm_.b, &decoder_norm_.w, &decoder_norm_.b});
  }
  take({&head_w_, &head_b_});
}

at::Tensor QueryTransformer::Embed(const at::Tensor& feat, const at::Tensor& type_id) const {
  const PrecisionScope scope(device(), precision_);
  const at::Tensor inner = at::gelu(at::linear(feat, mlp0_w_, mlp0_b_));
  const at::Tensor place = pos_emb_.slice(1, 0, feat.size(1));
  return at::linear(inner, mlp2_w_, mlp2_b_) + at::embedding(type_emb_, type_id) + place;
}

at::Tensor QueryTransformer::Stack(const at::Tensor& z, const ForwardOptions& options) const {
  const AttentionMask mask = {.causal = options.causal, .blocked = options.blocked};
  at::Tensor x = z;
  for (const TransformerLayer& layer : encoder_)
    x = layer.Apply(x, config_.heads, mask, {}, &layer == &encoder_.back() ? options.rows : at::Tensor());
  return x;
}

at::Tensor QueryTransformer::EncodeDecode(const at::Tensor& feat, const at::Tensor& type_id,
                                          const at::Tensor& z, const ForwardOptions& options) const {
  const int64_t length = z.size(1), queries = FirstAnswer(type_id);
  const bool eos = type_id.select(1, length - 1).eq(TokenTypes::kEos).all().item<bool>();
  const int64_t answers_end = std::max(queries, eos ? length - 1 : length);

  AttentionMask mask = {.causal = config_.encdec_src_causal};
  if (config_.topology.k > 0) {
    mask.blocked = TopologyBlocked(config_.topology, QueryPlaces(config_.topology, feat.slice(1, 0, queries),
                                                                 type_id.slice(1, 0, queries)));
    if (config_.encdec_src_causal) mask.blocked.logical_or_(FutureBlocked(queries, z.device()));
  }
  at::Tensor encoded = z.slice(1, 0, queries);
  for (const TransformerLayer& layer : encoder_) encoded = layer.Apply(encoded, config_.heads, mask);
  encoded = LayerNorm(encoder_norm_, encoded);
  std::vector<at::Tensor> parts = {encoded};
  if (answers_end > queries) {
    at::Tensor decoded = z.slice(1, queries, answers_end);
    for (const TransformerLayer& layer : decoder_)
      decoded = layer.Apply(decoded, config_.heads, {.causal = true}, encoded);
    parts.push_back(LayerNorm(decoder_norm_, decoded));
  }
  if (answers_end < length) parts.push_back(at::zeros_like(z.slice(1, answers_end)));
  const at::Tensor h = at::cat(parts, 1);
  return options.rows.defined() ? h.flatten(0, 1).index_select(0, options.rows) : h;
}

Hidden QueryTransformer::Forward(const at::Tensor& feat, const at::Tensor& type_id,
                                 const ForwardOptions& options) const {
  const PrecisionScope scope(device(), precision_);
  Hidden out;
  out.z = Embed(feat, type_id);
  out.h = config_.arch == Architecture::kCausal ? Stack(out.z, options)
                                                : EncodeDecode(feat, type_id, out.z, options);
  if (options.need_z_hat) out.z_hat = at::linear(out.h, head_w_, head_b_).to(at::kFloat);
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

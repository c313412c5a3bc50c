#include "model/attention.h"

#include <ATen/ATen.h>

#include "model/feed_forward.h"

namespace manyform {
namespace {

constexpr double kLayerNormEps = 1e-5;

// (B,T,d) as (B,heads,T,d/heads).
at::Tensor Heads(const at::Tensor& x, int64_t heads) {
  return x.unflatten(-1, {heads, x.size(-1) / heads}).transpose(1, 2);
}

at::Tensor Join(const at::Tensor& mixed) { return mixed.transpose(1, 2).flatten(2); }

}  // namespace

at::Tensor SelfAttention(const AttentionWeights& weights, const at::Tensor& x, int64_t heads,
                         const AttentionMask& mask) {
  const std::vector<at::Tensor> qkv = at::linear(x, weights.in_w, weights.in_b).chunk(3, -1);
  const at::Tensor q = Heads(qkv[0], heads), k = Heads(qkv[1], heads), v = Heads(qkv[2], heads);
  if (!mask.blocked.defined()) return Join(at::scaled_dot_product_attention(q, k, v, {}, 0.0, mask.causal));
  at::Tensor allowed = mask.blocked.logical_not();
  if (allowed.dim() == 3) allowed = allowed.unsqueeze(1);
  return Join(at::scaled_dot_product_attention(q, k, v, allowed));
}

at::Tensor CrossAttention(const AttentionWeights& weights, const at::Tensor& x, const at::Tensor& memory,
                          int64_t heads) {
  const int64_t d = x.size(-1);
  const at::Tensor q = at::linear(x, weights.in_w.slice(0, 0, d), weights.in_b.slice(0, 0, d));
  const std::vector<at::Tensor> kv =
      at::linear(memory, weights.in_w.slice(0, d), weights.in_b.slice(0, d)).chunk(2, -1);
  return Join(at::scaled_dot_product_attention(Heads(q, heads), Heads(kv[0], heads), Heads(kv[1], heads)));
}

at::Tensor LayerNorm(const NormWeights& weights, const at::Tensor& x) {
  return at::layer_norm(x, {x.size(-1)}, weights.w, weights.b, kLayerNormEps);
}

std::vector<std::pair<std::string, std::vector<int64_t>>> TransformerLayer::Shapes(int64_t d, bool decoder) {
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes;
  const auto add_attention = [&](const std::string& name) {
    shapes.emplace_back(name + ".in_proj_weight", std::vector<int64_t>{3 * d, d});
    shapes.emplace_back(name + ".in_proj_bias", std::vector<int64_t>{3 * d});
    shapes.emplace_back(name + ".out_proj.weight", std::vector<int64_t>{d, d});
    shapes.emplace_back(name + ".out_proj.bias", std::vector<int64_t>{d});
  };
  const auto add = [&](const std::string& name, const std::vector<int64_t>& weight) {
    shapes.emplace_back(name + ".weight", weight);
    shapes.emplace_back(name + ".bias", std::vector<int64_t>{weight[0]});
  };
  add_attention("self_attn");
  if (decoder) add_attention("multihead_attn");
  add("linear1", {4 * d, d});
  add("linear2", {d, 4 * d});
  add("norm1", {d});
  add("norm2", {d});
  if (decoder) add("norm3", {d});
  return shapes;
}

std::vector<at::Tensor*> TransformerLayer::Members() {
  std::vector<at::Tensor*> members = {&self.in_w, &self.in_b, &self.out_w, &self.out_b};
  if (decoder) members.insert(members.end(), {&cross.in_w, &cross.in_b, &cross.out_w, &cross.out_b});
  members.insert(members.end(),
                 {&linear1_w, &linear1_b, &linear2_w, &linear2_b, &norm1.w, &norm1.b, &norm2.w, &norm2.b});
  if (decoder) members.insert(members.end(), {&norm3.w, &norm3.b});
  return members;
}

at::Tensor TransformerLayer::Apply(const at::Tensor& input, int64_t heads, const AttentionMask& mask,
                                   const at::Tensor& memory, const at::Tensor& rows) const {
  at::Tensor x = input;
  at::Tensor mixed = SelfAttention(self, LayerNorm(norm1, x), heads, mask);
  if (rows.defined()) {
    mixed = mixed.flatten(0, 1).index_select(0, rows);
    x = x.flatten(0, 1).index_select(0, rows);
  }
  x = x + at::linear(mixed, self.out_w, self.out_b);
  if (decoder)
    x = x + at::linear(CrossAttention(cross, LayerNorm(norm2, x), memory, heads), cross.out_w, cross.out_b);
  const at::Tensor normed = LayerNorm(decoder ? norm3 : norm2, x);
  return x + FeedForward(normed, linear1_w, linear1_b, linear2_w, linear2_b);
}

}  // namespace manyform

/// \file
/// Multi-head attention and the pre-norm layers made of it, under PyTorch's parameter names.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"

namespace manyform {

/// Who may attend to whom. Without `blocked` a rule says it, and no (T,T) tensor exists.
struct AttentionMask {
  bool causal = false;
  at::Tensor blocked;  ///< (T,T) or (B,T,T) bool, true: may not; takes the place of `causal`
};

/// nn.MultiheadAttention: in_proj (3d,d), out_proj (d,d).
struct AttentionWeights {
  at::Tensor in_w, in_b, out_w, out_b;
};

/// Mixed values (B,T,d) before the output projection. x (B,T,d).
at::Tensor SelfAttention(const AttentionWeights& weights, const at::Tensor& x, int64_t heads,
                         const AttentionMask& mask);
/// Queries from x (B,T,d), keys and values from memory (B,S,d); everybody sees all of it.
at::Tensor CrossAttention(const AttentionWeights& weights, const at::Tensor& x, const at::Tensor& memory,
                          int64_t heads);

struct NormWeights {
  at::Tensor w, b;
};
at::Tensor LayerNorm(const NormWeights& weights, const at::Tensor& x);

/// nn.TransformerEncoderLayer or, with cross attention, nn.TransformerDecoderLayer; norm_first, GELU, no
/// dropout.
struct TransformerLayer {
  bool decoder = false;
  AttentionWeights self, cross;
  at::Tensor linear1_w, linear1_b, linear2_w, linear2_b;
  NormWeights norm1, norm2, norm3;

  /// Names and shapes in the module's order.
  static std::vector<std::pair<std::string, std::vector<int64_t>>> Shapes(int64_t d, bool decoder);
  /// The members in that order.
  std::vector<at::Tensor*> Members();
  /// x (B,T,d), memory (B,S,d) for a decoder. With `rows` (N) i64 only these tokens b*T+t are computed after
  /// self attention: (N,d). \pre a decoder has no rows
  at::Tensor Apply(const at::Tensor& x, int64_t heads, const AttentionMask& mask,
                   const at::Tensor& memory = {}, const at::Tensor& rows = {}) const;
};

}  // namespace manyform

/// \file
/// The causal query/answer transformer: features and types in, embeddings and hidden states out.
///
/// feat 15 -> Linear -> GELU -> Linear, + type embedding + position embedding; pre-norm encoder layers
/// without a final norm; pred_head maps a hidden state to the next token's predicted embedding. Parameter
/// names and order are those of the published PyTorch module (`pos_emb` first).
#pragma once

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "model/attention.h"
#include "model/named_tensors.h"
#include "model/precision.h"
#include "model/transformer_parameters.h"

namespace manyform {

/// (B,T,d) each: embedded input, hidden state, pred_head of it. z_hat is undefined if not asked for. With
/// ForwardOptions::rows, h and z_hat are (N,d).
struct Hidden {
  at::Tensor z, h, z_hat;
};

struct ForwardOptions {
  bool causal = true;  ///< of the causal architecture; encdec has its own rule
  /// (T,T) or (B,T,T) bool, optional: true: may not attend. In place of `causal`, of which it should be part.
  at::Tensor blocked;
  bool need_z_hat = true;
  /// (N) i64, optional: tokens b*T+t whose h and z_hat are wanted. The last layer then computes no others.
  at::Tensor rows;
};

class QueryTransformer {
 public:
  /// Fresh weights, as the published module initialises them in distribution; `seed` decides them, the same
  /// on every machine. \error as ParameterShapes.
  static absl::StatusOr<QueryTransformer> Create(const TransformerConfig& config, uint64_t seed);
  /// The weights are copied. \error InvalidArgument naming the first tensor that is missing, surplus, not f32
  /// or of another shape.
  static absl::StatusOr<QueryTransformer> FromTensors(const TransformerConfig& config,
                                                      const NamedTensors& tensors);

  const TransformerConfig& config() const { return config_; }
  /// Leaves that require gradients unless SetRequiresGrad(false); they share storage with the module.
  const NamedTensors& parameters() const { return parameters_; }
  void SetRequiresGrad(bool value);
  /// Moves the weights; parameters() are new leaves afterwards.
  void To(c10::Device device);
  c10::Device device() const { return pos_emb_.device(); }
  /// Of Embed and Forward, whose results are f32 in any case. f32 unless set.
  void SetPrecision(Precision precision) { precision_ = precision; }
  Precision precision() const { return precision_; }

  /// feat (B,T,15) f32, type_id (B,T) i64. \pre T <= max_len, 0 <= types < n_types
  at::Tensor Embed(const at::Tensor& feat, const at::Tensor& type_id) const;
  Hidden Forward(const at::Tensor& feat, const at::Tensor& type_id, const ForwardOptions& options = {}) const;

  /// Linear resize (align_corners = false) of the position embedding. \pre max_len > 0
  void ResizePositions(int64_t max_len);

 private:
  QueryTransformer() = default;
  // Points the members below at parameters_.
  void Bind();
  at::Tensor Stack(const at::Tensor& z, const ForwardOptions& options) const;
  at::Tensor EncodeDecode(const at::Tensor& feat, const at::Tensor& type_id, const at::Tensor& z,
                          const ForwardOptions& options) const;

  TransformerConfig config_;
  Precision precision_ = Precision::kF32;
  NamedTensors parameters_;
  at::Tensor pos_emb_, type_emb_, mlp0_w_, mlp0_b_, mlp2_w_, mlp2_b_, head_w_, head_b_;
  std::vector<TransformerLayer> encoder_, decoder_;
  NormWeights encoder_norm_, decoder_norm_;
};

}  // namespace manyform

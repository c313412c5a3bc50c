/// \file
/// A sequence as a vector, and a linear head on it.
#pragma once

#include <cstdint>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "model/named_tensors.h"
#include "model/query_transformer.h"

namespace manyform {

enum class Pooling { kEos, kBos, kMean, kMeanNoSpecial, kMeanPoints, kMeanAnswers };

/// By published name; "auto" is mean_a with query/answer tokens, else eos. \error InvalidArgument.
absl::StatusOr<Pooling> ParsePooling(const std::string& name, bool qa_tokens);

/// Which tokens are averaged, (B,T) bool: the last one (eos), the first (bos), all, all but BOS and EOS,
/// those of points, or answers. If a batch has no answers at all, mean_a is eos; a sequence without answers
/// in a batch that has some averages nothing. `type_id` (B,T) i64.
at::Tensor PooledTokens(const at::Tensor& type_id, Pooling pooling);

/// Mean hidden state over PooledTokens, (B,d); zero where there are none.
at::Tensor PooledHidden(const QueryTransformer& model, const at::Tensor& feat, const at::Tensor& type_id,
                        Pooling pooling, bool causal);

/// Linear(d, classes).
class ClassifierHead {
 public:
  /// Fresh weights as torch.nn.Linear's in distribution; `seed` decides them.
  ClassifierHead(int64_t d_model, int64_t classes, uint64_t seed);
  /// \error InvalidArgument unless `tensors` are its two.
  static absl::StatusOr<ClassifierHead> FromTensors(int64_t d_model, int64_t classes,
                                                    const NamedTensors& tensors);
  /// cls.weight (classes,d) and cls.bias (classes), leaves that require gradients.
  const NamedTensors& parameters() const { return parameters_; }
  /// Moves the weights; parameters() are new leaves afterwards.
  void To(c10::Device device);
  /// (B,d) to (B,classes).
  at::Tensor Logits(const at::Tensor& pooled) const;

 private:
  explicit ClassifierHead(NamedTensors parameters);
  NamedTensors parameters_;
};

}  // namespace manyform

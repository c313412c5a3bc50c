/// \file
/// A sequence as a vector: the mean of some of its hidden states.
#pragma once

#include <string_view>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "model/query_transformer.h"

namespace manyform {

enum class Pooling {
  kEos,                ///< the last token
  kBos,                ///< the first
  kMean,               ///< all
  kMeanNoSpecial,      ///< all but BOS and EOS
  kMeanPoints,         ///< those of points
  kMeanAnswers,        ///< answers; if a batch has none at all, the last token
  kMeanAnswersOrRest,  ///< answers; in a sequence without any, what is not BOS, EOS or a missing ray, or all
  kMeanPredicted,      ///< predicted embeddings where the next token is one of kMeanAnswersOrRest
};

/// By published name: eos, bos, mean, mean_no_special, mean_pts, mean_a, mean_zhat; "auto" is mean_a with
/// query/answer tokens, else eos; "ucpr_mean_a" is mean_a as retrieval has it, kMeanAnswersOrRest.
/// \error InvalidArgument
absl::StatusOr<Pooling> ParsePooling(std::string_view name, bool qa_tokens);

/// Which positions are averaged, (B,T) bool, of `type_id` (B,T) i64.
at::Tensor PooledTokens(const at::Tensor& type_id, Pooling pooling);

/// Mean over PooledTokens of the hidden state, or of its prediction, (B,d); zero where there are none.
at::Tensor PooledHidden(const QueryTransformer& model, const at::Tensor& feat, const at::Tensor& type_id,
                        Pooling pooling, bool causal);

}  // namespace manyform

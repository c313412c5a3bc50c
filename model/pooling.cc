#include "model/pooling.h"

#include <ATen/ATen.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "base/string_views.h"
#include "model/token_types.h"

namespace manyform {
namespace {

at::Tensor Answers(const at::Tensor& type_id) {
  return type_id.eq(TokenTypes::kAnswerPoint) | type_id.eq(TokenTypes::kAnswerRay);
}

at::Tensor Ordinary(const at::Tensor& type_id) {
  return type_id.ne(TokenTypes::kBos) & type_id.ne(TokenTypes::kEos);
}

at::Tensor Only(const at::Tensor& type_id, int64_t token) {
  at::Tensor mask = at::zeros_like(type_id, at::kBool);
  mask.select(1, token).fill_(true);
  return mask;
}

// `otherwise` where a row is empty.
at::Tensor RowsOr(const at::Tensor& mask, const at::Tensor& otherwise) {
  return at::where(mask.any(1, /*keepdim=*/true), mask, otherwise);
}

}  // namespace

absl::StatusOr<Pooling> ParsePooling(std::string_view name, bool qa_tokens) {
  const std::map<std::string_view, Pooling> names = {
      {"auto", qa_tokens ? Pooling::kMeanAnswers : Pooling::kEos},
      {"eos", Pooling::kEos},
      {"bos", Pooling::kBos},
      {"mean", Pooling::kMean},
      {"mean_no_special", Pooling::kMeanNoSpecial},
      {"mean_pts", Pooling::kMeanPoints},
      {"mean_a", Pooling::kMeanAnswers},
      {"ucpr_mean_a", Pooling::kMeanAnswersOrRest},
      {"mean_zhat", Pooling::kMeanPredicted},
  };
  const auto found = names.find(name);
  if (found == names.end())
    return absl::InvalidArgumentError(absl::StrCat("unknown pooling '", ToAbsl(name), "'"));
  return found->second;
}

at::Tensor PooledTokens(const at::Tensor& type_id, Pooling pooling) {
  const int64_t last = type_id.size(1) - 1;
  switch (pooling) {
    case Pooling::kEos:
      return Only(type_id, last);
    case Pooling::kBos:
      return Only(type_id, 0);
    case Pooling::kMean:
      return at::ones_like(type_id, at::kBool);
    case Pooling::kMeanNoSpecial:
      return Ordinary(type_id);
    case Pooling::kMeanPoints:
      return type_id.eq(TokenTypes::kPoint) | type_id.eq(TokenTypes::kQueryPoint) |
             type_id.eq(TokenTypes::kAnswerPoint);
    case Pooling::kMeanAnswers: {
      const at::Tensor answers = Answers(type_id);
      return answers.any().item<bool>() ? answers : Only(type_id, last);
    }
    case Pooling::kMeanAnswersOrRest: {
      const at::Tensor rest = Ordinary(type_id) & type_id.ne(TokenTypes::kMissingRay);
      return RowsOr(Answers(type_id), RowsOr(rest, at::ones_like(rest)));
    }
    case Pooling::kMeanPredicted: {
      const at::Tensor next = PooledTokens(type_id, Pooling::kMeanAnswersOrRest);
      return at::cat({next.slice(1, 1), at::zeros_like(next.slice(1, 0, 1))}, 1);
    }
  }
  return {};
}

at::Tensor PooledHidden(const QueryTransformer& model, const at::Tensor& feat, const at::Tensor& type_id,
                        Pooling pooling, bool causal) {
  const bool predicted = pooling == Pooling::kMeanPredicted;
  const at::Tensor mask = PooledTokens(type_id, pooling);
  const at::Tensor rows = mask.flatten().nonzero().squeeze(1);
  const Hidden hidden =
      model.Forward(feat, type_id, {.causal = causal, .need_z_hat = predicted, .rows = rows});
  const at::Tensor& values = predicted ? hidden.z_hat : hidden.h;
  const at::Tensor sum = at::zeros({type_id.size(0), values.size(1)}, values.options())
                             .index_add(0, at::floor_divide(rows, type_id.size(1)), values);
  return sum / mask.sum(1, /*keepdim=*/true).clamp_min(1);
}

}  // namespace manyform

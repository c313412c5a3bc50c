#include "eval/embed.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "ATen/ATen.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "c10/core/InferenceMode.h"
#include "data/batch_loader.h"
#include "data/tokens.h"
#include "model/checkpoint.h"

namespace manyform {
namespace {

// (B,T) bool; `otherwise` where a row is empty.
at::Tensor RowsOr(const at::Tensor& mask, const at::Tensor& otherwise) {
  return at::where(mask.any(1, /*keepdim=*/true), mask, otherwise);
}

at::Tensor AnswerMask(const at::Tensor& type) {
  const at::Tensor answers = type.eq(kAnswerPoint).logical_or(type.eq(kAnswerRay));
  const at::Tensor special = type.eq(kBos).logical_or(type.eq(kEos)).logical_or(type.eq(kMissingRay));
  const at::Tensor all = at::ones_like(answers);
  return RowsOr(answers, RowsOr(special.logical_not(), all));
}

at::Tensor MaskedMean(const at::Tensor& values, const at::Tensor& mask) {
  const at::Tensor weights = mask.to(values.scalar_type());
  const at::Tensor sums = at::bmm(weights.unsqueeze(1), values).squeeze(1);
  return sums / weights.sum(1, /*keepdim=*/true).clamp_min(1);
}

void ZeroPointPositions(std::span<float> feat, std::span<const uint8_t> type) {
  for (size_t t = 0; t < type.size(); ++t) {
    if (type[t] == kPoint || type[t] == kQueryPoint) std::fill_n(feat.data() + t * kFeatures, 3, 0.0f);
  }
}

std::vector<Draw> AllShapes(int64_t n) {
  std::vector<Draw> draws(n);
  for (int64_t i = 0; i < n; ++i) draws[i] = {0, i};
  return draws;
}

}  // namespace

absl::StatusOr<Pooling> ParsePooling(std::string_view name) {
  if (name == "eos") return Pooling::kEos;
  if (name == "mean_a") return Pooling::kMeanAnswers;
  if (name == "mean_zhat") return Pooling::kMeanPredicted;
  return absl::InvalidArgumentError(
      absl::StrCat("pooling '", ToAbsl(name), "', expected eos, mean_a or mean_zhat"));
}

at::Tensor PoolHidden(const Hidden& hidden, const at::Tensor& type_id, Pooling pooling) {
  const int64_t length = type_id.size(1);
  switch (pooling) {
    case Pooling::kEos:
      return hidden.h.select(1, length - 1);
    case Pooling::kMeanAnswers:
      return MaskedMean(hidden.h, AnswerMask(type_id));
    case Pooling::kMeanPredicted:
      // Position t predicts token t + 1.
      return MaskedMean(hidden.z_hat.narrow(1, 0, length - 1), AnswerMask(type_id).narrow(1, 1, length - 1));
  }
  return {};
}

at::Tensor NormalizeRows(const at::Tensor& rows) {
  return rows / at::linalg_vector_norm(rows, 2, {1}, /*keepdim=*/true).clamp_min(1e-12);
}

absl::StatusOr<at::Tensor> EmbedShapes(const QueryTransformer& model, const TokenDataset& dataset,
                                       int64_t n_shapes, const EmbedOptions& options, Progress& progress) {
  const c10::InferenceMode no_gradients;
  const auto& tokens = dataset.tokens;
  MF_ASSIGN_OR_RETURN(
      const std::unique_ptr<BatchLoader> loader,
      BatchLoader::Create(
          {.batch = options.batch,
           .drop_last = false,
           .draws = [n_shapes](int64_t) -> absl::StatusOr<std::vector<Draw>> { return AllShapes(n_shapes); },
           .fill = [&](const Draw& draw, int64_t resample, int64_t, std::span<float> feat,
                       std::span<uint8_t> type) -> absl::Status {
             MF_RETURN_IF_ERROR(EvalTokens(dataset, draw.shape, options.eval_seed, resample, feat, type));
             if (options.ablate_point_xyz) ZeroPointPositions(feat, type);
             return absl::OkStatus();
           },
           .length = SequenceLength(tokens.n_point, tokens.n_ray, tokens.layout),
           .epochs = options.mc_k}));
  at::Tensor sums = at::zeros({n_shapes, model.config().d_model});
  while (true) {
    MF_ASSIGN_OR_RETURN(const Batch* const batch, loader->Next());
    if (batch == nullptr) break;
    const at::Tensor type = TypeTensor(batch->type.data(), batch->size, batch->length, model.device());
    const Hidden hidden =
        model.Forward(FeatureTensor(batch->feat.data(), batch->size, batch->length, model.device()), type,
                      {.need_z_hat = options.pooling == Pooling::kMeanPredicted});
    sums.narrow(0, batch->draws.front().shape, batch->size)
        .add_(NormalizeRows(PoolHidden(hidden, type, options.pooling)).cpu());
    progress.Add(batch->size);
  }
  return NormalizeRows(sums);
}

}  // namespace manyform

#include "eval/embed_shapes.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "ATen/ATen.h"
#include "base/interrupt.h"
#include "base/status_macros.h"
#include "c10/core/InferenceMode.h"
#include "data/batch_loader.h"
#include "data/tokens.h"
#include "model/checkpoint.h"

namespace manyform {
namespace {

void ZeroPointPositions(std::span<float> feat, std::span<const uint8_t> type) {
  for (size_t t = 0; t < type.size(); ++t) {
    if (type[t] == kPoint || type[t] == kQueryPoint) std::fill_n(feat.data() + t * kFeatures, 3, 0.0f);
  }
}

std::vector<Draw> DrawsOf(std::span<const int64_t> shapes) {
  std::vector<Draw> draws;
  draws.reserve(shapes.size());
  for (const int64_t shape : shapes) draws.push_back({.dataset = 0, .shape = shape});
  return draws;
}

}  // namespace

absl::Status ForEachPooled(const QueryTransformer& model, const TokenDataset& dataset,
                           std::span<const int64_t> shapes, const EmbedOptions& options, Progress& progress,
                           const std::function<void(int64_t first, const at::Tensor& pooled)>& use) {
  const c10::InferenceMode no_gradients;
  const auto& tokens = dataset.tokens;
  // An epoch is a resample.
  MF_ASSIGN_OR_RETURN(
      const std::unique_ptr<BatchLoader> loader,
      BatchLoader::Create(
          {.batch = options.batch,
           .drop_last = false,
           .num_workers = options.num_workers,
           .draws = [shapes](int64_t) -> absl::StatusOr<std::vector<Draw>> { return DrawsOf(shapes); },
           .fill = [&](const Draw& draw, int64_t resample, int64_t, std::span<float> feat,
                       std::span<uint8_t> type) -> absl::Status {
             MF_RETURN_IF_ERROR(EvalTokens(dataset, draw.shape, options.eval_seed, resample, feat, type));
             if (options.ablate_point_xyz) ZeroPointPositions(feat, type);
             return absl::OkStatus();
           },
           .length = SequenceLength(tokens.n_point, tokens.n_ray, tokens.layout),
           .epochs = options.resamples}));
  while (true) {
    MF_RETURN_IF_ERROR(CheckInterrupt());
    MF_ASSIGN_OR_RETURN(const Batch* const batch, loader->Next());
    if (batch == nullptr) return absl::OkStatus();
    use(batch->index * options.batch,
        PooledHidden(model, FeatureTensor(batch->feat.data(), batch->size, batch->length, model.device()),
                     TypeTensor(batch->type.data(), batch->size, batch->length, model.device()),
                     options.pooling, options.causal));
    progress.Add(batch->size);
  }
}

absl::StatusOr<at::Tensor> EmbedShapes(const QueryTransformer& model, const TokenDataset& dataset,
                                       std::span<const int64_t> shapes, const EmbedOptions& options,
                                       Progress& progress) {
  const c10::InferenceMode no_gradients;
  at::Tensor sums = at::zeros({static_cast<int64_t>(shapes.size()), model.config().d_model});
  MF_RETURN_IF_ERROR(
      ForEachPooled(model, dataset, shapes, options, progress, [&](int64_t first, const at::Tensor& pooled) {
        sums.narrow(0, first, pooled.size(0))
            .add_((options.normalize ? NormalizeRows(pooled) : pooled).cpu());
      }));
  return options.normalize ? NormalizeRows(sums) : sums / static_cast<double>(options.resamples);
}

at::Tensor NormalizeRows(const at::Tensor& rows) {
  return rows / at::linalg_vector_norm(rows, 2, {1}, /*keepdim=*/true).clamp_min(1e-12);
}

std::vector<int64_t> FirstShapes(int64_t n, int64_t max_files) {
  std::vector<int64_t> shapes(max_files > 0 ? std::min(max_files, n) : n);
  std::iota(shapes.begin(), shapes.end(), int64_t{0});
  return shapes;
}

}  // namespace manyform

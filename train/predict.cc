#include "train/predict.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <memory>
#include <utility>

#include "base/interrupt.h"
#include "base/status_macros.h"
#include "data/batch_loader.h"
#include "model/checkpoint.h"

namespace manyform {

absl::StatusOr<at::Tensor> PredictLogits(const QueryTransformer& model, const ClassifierHead& head,
                                         const LabelledShapes& shapes, int64_t length,
                                         const PredictOptions& options) {
  const at::NoGradGuard no_grad;
  const auto n = static_cast<int64_t>(shapes.shapes.size());
  BatchLoader::Options loading;
  loading.batch = options.batch;
  loading.drop_last = false;
  loading.num_workers = options.num_workers;
  loading.length = length;
  // An epoch is a resample.
  loading.epochs = options.resamples;
  loading.draws = [&](int64_t) {
    std::vector<Draw> draws;
    for (const int64_t shape : shapes.shapes) draws.push_back({.dataset = 0, .shape = shape});
    return draws;
  };
  loading.fill = [&](const Draw& draw, int64_t resample, int64_t, std::span<float> feat,
                     std::span<uint8_t> type) {
    return EvalTokens(shapes.dataset, draw.shape, options.eval_seed, resample, feat, type);
  };
  MF_ASSIGN_OR_RETURN(const std::unique_ptr<BatchLoader> loader, BatchLoader::Create(std::move(loading)));
  at::Tensor sum = at::zeros({n, head.parameters()[1].second.size(0)});
  for (;;) {
    MF_RETURN_IF_ERROR(CheckInterrupt());
    MF_ASSIGN_OR_RETURN(const Batch* batch, loader->Next());
    if (batch == nullptr) return sum / static_cast<double>(options.resamples);
    const int64_t first = batch->index * options.batch;
    const at::Tensor pooled =
        PooledHidden(model, FeatureTensor(batch->feat.data(), batch->size, batch->length, model.device()),
                     TypeTensor(batch->type.data(), batch->size, batch->length, model.device()),
                     options.pooling, options.causal);
    sum.slice(0, first, first + batch->size).add_(head.Logits(pooled).cpu());
  }
}

absl::StatusOr<at::Tensor> PredictTogether(const QueryTransformer& model, const ClassifierHead& head,
                                           const LabelledShapes& shapes, int64_t length,
                                           const PredictOptions& options, ProcessGroup* group) {
  if (group->alone()) return PredictLogits(model, head, shapes, length, options);
  const auto n = static_cast<int64_t>(shapes.shapes.size());
  const int64_t first = n * group->rank() / group->size(), end = n * (group->rank() + 1) / group->size();
  LabelledShapes own = {.dataset = shapes.dataset, .shapes = {}, .labels = {}};
  own.shapes.assign(shapes.shapes.begin() + first, shapes.shapes.begin() + end);
  at::Tensor logits = at::zeros({n, head.parameters()[1].second.size(0)});
  absl::Status done;
  if (first < end) {
    const absl::StatusOr<at::Tensor> part = PredictLogits(model, head, own, length, options);
    if (part.ok()) logits.slice(0, first, end).copy_(*part);
    done = part.status();
  }
  MF_ASSIGN_OR_RETURN(const bool cancelled, group->Any(absl::IsCancelled(done)));
  if (cancelled && done.ok()) done = absl::CancelledError("interrupted");
  MF_RETURN_IF_ERROR(done);
  MF_RETURN_IF_ERROR(group->AllReduceSum(logits));
  return logits;
}

std::vector<int64_t> PredictedLabels(const at::Tensor& logits) {
  const at::Tensor best = logits.argmax(1);
  return {best.const_data_ptr<int64_t>(), best.const_data_ptr<int64_t>() + best.numel()};
}

double Accuracy(const std::vector<int64_t>& predictions, const std::vector<int64_t>& labels) {
  int64_t right = 0;
  for (size_t i = 0; i < labels.size(); ++i) right += predictions[i] == labels[i];
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

}  // namespace manyform

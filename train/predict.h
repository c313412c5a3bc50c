/// \file
/// Deterministic classification of a list of shapes.
#pragma once

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "model/classifier_head.h"
#include "model/pooling.h"
#include "train/finetune_data.h"
#include "train/process_group.h"

namespace manyform {

struct PredictOptions {
  Pooling pooling = Pooling::kMeanAnswers;
  bool causal = false;
  int64_t eval_seed = 0;
  int64_t resamples = 1;  ///< whose logits are averaged
  int64_t batch = 32;
  int num_workers = 1;
};

/// (n, classes) logits of `shapes` in their order. \error of the first sequence that cannot be made;
/// Cancelled after Ctrl-C.
absl::StatusOr<at::Tensor> PredictLogits(const QueryTransformer& model, const ClassifierHead& head,
                                         const LabelledShapes& shapes, int64_t length,
                                         const PredictOptions& options);

/// The same by several processes, each of which computes some of the rows and gets all. What cancels one
/// cancels all. \error as PredictLogits and ProcessGroup.
absl::StatusOr<at::Tensor> PredictTogether(const QueryTransformer& model, const ClassifierHead& head,
                                           const LabelledShapes& shapes, int64_t length,
                                           const PredictOptions& options, ProcessGroup* group);

/// The largest logit of each row; the first of equal ones.
std::vector<int64_t> PredictedLabels(const at::Tensor& logits);

/// Share of labels that are predicted.
double Accuracy(const std::vector<int64_t>& predictions, const std::vector<int64_t>& labels);

}  // namespace manyform

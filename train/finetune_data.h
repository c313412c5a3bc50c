/// \file
/// What fine-tuning trains on, validates with and is tested on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "data/token_dataset.h"
#include "model/checkpoint.h"
#include "proto/train.pb.h"

namespace manyform {

/// Shapes of a dataset with their labels.
struct LabelledShapes {
  TokenDataset dataset;
  std::vector<int64_t> shapes;  ///< indices into dataset.shapes
  std::vector<int64_t> labels;  ///< of each of them
};

struct FinetuneData {
  LabelledShapes train, validation, test;
  std::vector<std::string> class_names;  ///< of the whole training split, sorted: labels index them
  int64_t length = 0;                    ///< tokens a sequence
  std::string fingerprint;               ///< of both splits
};

/// How sequences are made, and the model's sizes for them.
struct FinetunePlan {
  int64_t n_point = 0, n_ray = 0;
  LayoutOptions layout;
  TransformerConfig sizes;
};

/// From the config and, where it says so, the checkpoint it starts from (null: from scratch, with legacy
/// tokens unless qa_tokens is 1). Sizes beyond pretraining's are capped unless allow_scale_up, and said so.
/// \error InvalidArgument naming the field for what the model has no positions or token types for.
absl::StatusOr<FinetunePlan> PlanFinetune(const FinetuneConfig& config, const CheckpointHeader* from);

/// Opens both splits and takes validation and few shots from the training one. Validation and test sample
/// deterministically. \error as ShapeList::Open; InvalidArgument if a class is tested that is not trained.
absl::StatusOr<FinetuneData> OpenFinetuneData(const FinetuneConfig& config, const FinetunePlan& plan);

}  // namespace manyform

/// \file
/// What fine-tuning trains on, validates with and is tested on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "data/token_dataset.h"
#include "train/finetune_plan.h"

namespace manyform {

/// Shapes of a dataset with their labels.
struct LabelledShapes {
  TokenDataset dataset;
  std::vector<int64_t> shapes;  ///< indices into dataset.shapes
  std::vector<int64_t> labels;  ///< of each of them
};

struct FinetuneData {
  LabelledShapes train, validation, test;
  /// Of the whole training split, or those that fewshot_n_way picked; sorted: labels index them.
  std::vector<std::string> class_names;
  int64_t length = 0;       ///< tokens a sequence
  std::string fingerprint;  ///< of both splits
};

/// Opens both splits, picks classes, and takes validation and few shots from the training one. Validation and
/// test sample deterministically. \error as ShapeList::Open; InvalidArgument if a class is tested that is not
/// trained, or nothing is left to train on or test with.
absl::StatusOr<FinetuneData> OpenFinetuneData(const FinetunePlan& plan);

}  // namespace manyform

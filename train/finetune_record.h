/// \file
/// The result of fine-tuning under the published keys.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proto/train.pb.h"
#include "train/finetune_data.h"

namespace manyform {

struct FinetuneOutcome {
  int64_t best_epoch = -1;
  double best_validation = -1;       ///< negative: there was no validation
  std::vector<int64_t> predictions;  ///< of the test shapes
  std::string checkpoint_hash;       ///< of the pretrained weights; empty from scratch
};

/// Record (metrics test_acc, mean_class_acc, best_val, best_ep), accuracy per class and confusion. In the
/// signature is what fixes the measurement; seeds of the run, and what the checkpoint brings along, are shown
/// beside it.
FinetuneResult MakeFinetuneResult(const FinetunePlan& plan, const FinetuneData& data,
                                  const FinetuneOutcome& outcome);

}  // namespace manyform

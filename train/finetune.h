/// \file
/// Fine-tuning a checkpoint, or a fresh model, to classify shapes.
#pragma once

#include "absl/status/statusor.h"
#include "proto/train.pb.h"

namespace manyform {

/// Trains a linear head, and the model under it unless freeze_backbone, and tests the weights of the best
/// validation epoch (strictly better wins; without validation, of the last one). With save_dir, a killed run
/// goes on from its last checkpoint and ends, at equal num_threads, at the same bytes.
/// \error as Pretrain.
absl::StatusOr<FinetuneResult> Finetune(const FinetuneConfig& config);

}  // namespace manyform

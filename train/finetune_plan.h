/// \file
/// What a fine-tuning config stands for once the checkpoint it starts from is known.
#pragma once

#include "absl/status/statusor.h"
#include "model/precision.h"
#include "model/transformer_parameters.h"
#include "proto/train.pb.h"

namespace manyform {

struct FinetunePlan {
  /// What was left to the checkpoint, to `backend`, to mc_eval_k or to a preset is written out: it says alone
  /// how sequences are made and measured.
  FinetuneConfig config;
  TransformerConfig sizes;
  Precision precision = Precision::kF32;
};

/// `from`: what training starts from; null: from scratch, with legacy tokens unless qa_tokens is 1. Sizes
/// beyond pretraining's are capped unless allow_scale_up, and said so.
/// \error InvalidArgument naming the field that contradicts the checkpoint or another field, or has no effect
/// beside them; for what the model has no positions or token types for.
absl::StatusOr<FinetunePlan> PlanFinetune(const FinetuneConfig& given, const CheckpointHeader* from);

}  // namespace manyform

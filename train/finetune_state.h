/// \file
/// What a fine-tuning run has learned so far, as it goes into checkpoints and comes back.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/checkpoint.h"
#include "model/classifier_head.h"
#include "model/query_transformer.h"
#include "train/finetune_data.h"
#include "train/finetune_plan.h"
#include "train/optimizer.h"
#include "train/process_group.h"

namespace manyform {

/// Over the steps that an unfinished epoch has made.
struct EpochSums {
  double loss = 0, squared_gradients = 0;
  int64_t samples = 0, right = 0, steps = 0;
};

/// The epoch (from 0) with the largest validation accuracy, the first of equal ones, and its weights, which
/// training does not touch.
struct BestEpoch {
  int64_t epoch = -1, step = 0;
  double validation = -1;
  NamedTensors model, head;
};

struct FinetuneState {
  QueryTransformer model;
  ClassifierHead head;
  AdamW optimizer;
  int64_t epoch = 0, step = 0;  ///< done
  EpochSums sums;
  BestEpoch best;

  /// Makes the weights as they are now the best.
  void KeepAsBest(int64_t finished_epoch, double validation);
  /// Goes back to the best weights, if there are any. \pre nothing is trained afterwards
  absl::Status RestoreBest(const FinetunePlan& plan);
};

/// What a run is made of, for its checkpoints. `inputs`: fingerprint of data and of the weights it starts
/// from.
struct FinetuneOrigin {
  FinetunePlan plan;
  FinetuneData data;
  std::string inputs;
};

/// A run from its beginning, the head fresh.
FinetuneState FreshFinetuneState(const FinetuneOrigin& origin, QueryTransformer model, c10::Device device);

/// A run that goes on from its own checkpoints: `last` and, with validation, `best`.
/// \error as ReadCheckpoint and CheckSameRun.
absl::StatusOr<FinetuneState> ResumedFinetuneState(const FinetuneOrigin& origin, c10::Device device,
                                                   const std::string& last, const std::string& best);

/// Every process of `group` goes on from what the first one has; see ShareCheckpoint.
absl::Status ShareFinetuneState(const FinetuneOrigin& origin, FinetuneState* state, ProcessGroup* group);

/// Shares storage with `state`.
Checkpoint LastCheckpoint(const FinetuneState& state, const FinetuneOrigin& origin);
/// Weights alone.
Checkpoint BestCheckpoint(const FinetuneState& state, const FinetuneOrigin& origin);

}  // namespace manyform

/// \file
/// What a pretraining run has learned so far, as it goes into a checkpoint and comes back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/checkpoint.h"
#include "model/query_transformer.h"
#include "proto/train.pb.h"
#include "train/corpus.h"
#include "train/optimizer.h"
#include "train/pretrain_objective.h"

namespace manyform {

/// Where a run is: `epoch` epochs, `batch` batches of the next one, `step` optimizer steps are done.
struct PretrainPosition {
  int64_t epoch = 0, batch = 0, step = 0;
};

struct PretrainState {
  QueryTransformer model;
  PretrainObjective objective;
  AdamW optimizer;
  PretrainPosition at;
};

/// A run from its beginning. `longest`: tokens of its longest sequence.
absl::StatusOr<PretrainState> FreshPretrainState(const PretrainConfig& config, const Corpus& corpus,
                                                 int64_t longest, c10::Device device);

/// A run that goes on from the checkpoint at `path`: its own (`same_run`), bit for bit, or another's, under
/// the resume_ options.
/// \error as ReadCheckpoint and CheckSameRun; InvalidArgument if the weights do not fit the config.
absl::StatusOr<PretrainState> ResumedPretrainState(const PretrainConfig& config, const Corpus& corpus,
                                                   int64_t longest, c10::Device device,
                                                   const std::string& path, bool same_run);

/// Shares storage with `state`.
Checkpoint PretrainCheckpoint(const PretrainState& state, const PretrainConfig& config, const Corpus& corpus);

}  // namespace manyform

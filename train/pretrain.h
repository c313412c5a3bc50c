/// \file
/// Pretraining: a corpus, an objective, a run folder.
#pragma once

#include "absl/status/statusor.h"
#include "proto/train.pb.h"

namespace manyform {

/// Trains into config.save_dir and leaves last.safetensors there. A run that was killed at any point goes on
/// from its last checkpoint under the same command and ends, at equal num_threads, at the same bytes as one
/// that was not. Everything random is keyed by seed and epoch or step.
/// \error InvalidArgument for a config that cannot be; FailedPrecondition for a folder that is in use or
/// holds another run; Cancelled after Ctrl-C, with a checkpoint at the current step; Internal for a loss or
/// gradient that is not finite, naming the step and the last good checkpoint.
absl::StatusOr<PretrainResult> Pretrain(const PretrainConfig& config);

}  // namespace manyform

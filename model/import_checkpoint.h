/// \file
/// //model:import_checkpoint.
#pragma once

#include "absl/status/statusor.h"
#include "proto/checkpoint_tools.pb.h"

namespace manyform {

/// Turns a published .pt or state_dict into a checkpoint that every program here takes, training state
/// included. \error as TorchFile::Open, ReadSafeTensors and model/published_checkpoint.h; InvalidArgument for
/// file names with other endings.
absl::StatusOr<ImportCheckpointResult> ImportCheckpoint(const ImportCheckpointConfig& config);

}  // namespace manyform

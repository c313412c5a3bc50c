/// \file
/// //model:inspect_checkpoint.
#pragma once

#include "absl/status/statusor.h"
#include "proto/checkpoint_tools.pb.h"

namespace manyform {

/// Prints what a checkpoint, any .safetensors or a .pt holds: header or metadata, groups of tensors, tensors.
/// The record has all tensors, listed or not. \error as ReadSafeTensors and TorchFile::Open.
absl::StatusOr<InspectCheckpointResult> InspectCheckpoint(const InspectCheckpointConfig& config);

}  // namespace manyform

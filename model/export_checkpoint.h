/// \file
/// //model:export_checkpoint.
#pragma once

#include "absl/status/statusor.h"
#include "proto/checkpoint_tools.pb.h"

namespace manyform {

/// Writes a checkpoint's weights as a plain state_dict, `safetensors.torch.load_file`'s to open: published
/// names, f32. Its metadata: `format` pt, `args` (JSON, published names), `step`, `epoch` (the index of the
/// last finished one, as published; not there before the first), `stage`, `class_names` (JSON) and `hash` (of
/// the weights). \error as ReadCheckpoint; InvalidArgument for file names that cannot be; FailedPrecondition
/// for aux_output of a checkpoint without heads.
absl::StatusOr<ExportCheckpointResult> ExportCheckpoint(const ExportCheckpointConfig& config);

}  // namespace manyform

/// \file
/// Checkpoints of the published system as ours.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint.h"
#include "model/safetensors.h"
#include "model/torch_file.h"

namespace manyform {

struct PublishedOptions {
  /// Training arguments as JSON, for a file that holds none.
  std::string args;
  bool optimizer = true;  ///< take its state over
};

/// A .pt with {model, args, epoch, step, opt, aux_heads, ...}, or a bare state_dict. Optimizer state, which
/// is by index there, gets the names of the weights and heads in their order. What else it holds, tensors
/// aside, is in the header's published_rest; `remarks` says what is left out or was converted. \error as
/// HeaderOfArgs; InvalidArgument with `name` for weights that are no transformer's and optimizer state that
/// does not fit them.
absl::StatusOr<Checkpoint> CheckpointOfTorchFile(const std::string& name, const TorchFile& file,
                                                 const PublishedOptions& options,
                                                 std::vector<std::string>* remarks);

/// A state_dict; its metadata may have args, epoch and step, as //model:export_checkpoint writes them.
/// \error as above; FailedPrecondition for a checkpoint of ours.
absl::StatusOr<Checkpoint> CheckpointOfStateDict(const std::string& name, const SafeTensors& file,
                                                 const PublishedOptions& options,
                                                 std::vector<std::string>* remarks);

}  // namespace manyform

/// \file
/// The arguments a published checkpoint was trained with (JSON, names to values) as a header, and back.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/named_tensors.h"
#include "proto/train.pb.h"

namespace manyform {

/// Sizes are those of `weights`, a state_dict; layout, architecture and objective come from `args`, or are
/// the published defaults where they lack one. What of `args` pretraining has options for is in `config`, all
/// of them in `published_args`; `remarks` gets what could not be taken over. Counters stay 0.
/// \error InvalidArgument with `name` if the weights are no transformer's, or `args` are no JSON object, lack
/// `heads` (no tensor tells), contradict the weights or have a value that the header cannot.
absl::StatusOr<CheckpointHeader> HeaderOfArgs(const std::string& name, const std::string& args,
                                              const NamedTensors& weights, std::vector<std::string>* remarks);

/// published_args with what the header says put over them.
std::string ArgsOfHeader(const CheckpointHeader& header);

}  // namespace manyform

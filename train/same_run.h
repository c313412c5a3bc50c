/// \file
/// Whether a checkpoint belongs to the run that finds it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "proto/train.pb.h"

namespace manyform {

/// ConfigFingerprint without the field `epochs`: a run may be prolonged.
std::string RunFingerprint(const google::protobuf::Message& config);

/// The effective config as textproto, without fields that cannot change the product.
std::string RunConfigText(const google::protobuf::Message& config);

/// \error FailedPrecondition naming the first field in which the config that made the checkpoint at `path`
/// differs from `config`, with both values, or that its inputs are not
/// what they were.
absl::Status CheckSameRun(const std::string& path, const CheckpointHeader& header,
                          const google::protobuf::Message& config, const std::string& data_fingerprint);

}  // namespace manyform

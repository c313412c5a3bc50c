/// \file
/// Files that describe a mixed corpus.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "proto/train.pb.h"

namespace manyform {

/// Published .yaml (.yml), or MixConfig .textproto. Unnamed datasets are called ds0, ds1, ... by their place;
/// weights stay as written. \error NotFound; InvalidArgument with path (and line) and field for what is
/// unknown, missing or of another type.
absl::StatusOr<MixConfig> ReadMixConfig(const std::string& path);
/// The published form; `name` is what errors call the text.
absl::StatusOr<MixConfig> ParseMixYaml(const std::string& text, const std::string& name);

}  // namespace manyform

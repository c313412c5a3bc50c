/// \file
/// Split files: which shape is seen in which form.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/split.pb.h"

namespace manyform {

/// The published .json, or SplitManifest as .textproto or .binpb, by the path's ending. Keys, splits and
/// source paths are checked to stay below whatever root they are joined to.
/// \error NotFound; InvalidArgument with path and record for what is malformed, missing, repeated (a key
/// twice in one split) or leaves its folder.
absl::StatusOr<SplitManifest> ReadSplitManifest(const std::string& path);
/// Written atomically. \error InvalidArgument for another ending or names that are not UTF-8.
absl::Status WriteSplitManifest(const std::string& path, const SplitManifest& manifest);

/// The published form, byte for byte: two spaces, no newline at the end.
absl::StatusOr<std::string> FormatSplitJson(const SplitManifest& manifest);
/// `name` is what errors call the text.
absl::StatusOr<SplitManifest> ParseSplitJson(const std::string& text, const std::string& name);
/// What ReadSplitManifest checks of any form.
absl::Status CheckSplitManifest(const SplitManifest& manifest, const std::string& name);

}  // namespace manyform

/// \file
/// One file put where another program looks for it: by link or by copy.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace manyform {

enum class LinkMode { kSymlink, kHardlink, kCopy };
/// \error InvalidArgument with the known names.
absl::StatusOr<LinkMode> ParseLinkMode(std::string_view name);

/// Makes `to` stand for the file `from`, replacing what is there in one step. Symbolic links are relative and
/// lead to `from` itself; hard links to the file that `from` leads to. The folder of `to` exists.
/// \error FailedPrecondition if a hard link would cross file systems; otherwise as errno says, with both
/// paths.
absl::Status PlaceFile(const std::string& from, const std::string& to, LinkMode mode);

}  // namespace manyform

/// \file
/// A look at a PLY file before Assimp reads it.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace manyform {

/// Whether an ASCII PLY has all the values its header announces: Assimp makes up what is missing. Binary ones
/// pass; there Assimp's own validation finds the end. \error InvalidArgument "path:line: what".
absl::Status CheckAsciiPly(std::string_view text, std::string_view path);

}  // namespace manyform

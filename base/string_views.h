/// \file
/// Debian builds Abseil with a string_view of its own, which takes no std::string_view.
#pragma once

#include <string_view>

#include "absl/strings/string_view.h"

namespace manyform {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace manyform

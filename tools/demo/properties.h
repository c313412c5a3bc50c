/// \file
/// Java's .properties files, as furniture libraries carry their catalogue in one.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace manyform {

/// Keys and values in UTF-8. `bytes` are ISO-8859-1 with the escapes, comments and continued lines of
/// java.util.Properties.load; of a repeated key the last value counts. A lone surrogate becomes U+FFFD.
/// \error InvalidArgument with the line's number for a \u without four hexadecimal digits.
absl::StatusOr<std::map<std::string, std::string>> ParseProperties(absl::string_view bytes);

}  // namespace manyform

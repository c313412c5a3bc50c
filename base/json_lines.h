/// \file
/// log.jsonl: one flat JSON object a line, appended and flushed whole, so that a killed run leaves whole
/// lines.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace manyform {

using JsonValue = std::variant<int64_t, double, std::string>;
using JsonRow = std::vector<std::pair<std::string, JsonValue>>;

/// Non-finite numbers become the strings "nan", "inf", "-inf".
absl::Status AppendJsonLine(const std::string& path, const JsonRow& row);
/// Whole lines only: a torn last line is dropped. \error with path and line number for anything else
/// malformed.
absl::StatusOr<std::vector<JsonRow>> ReadJsonLines(const std::string& path);

}  // namespace manyform

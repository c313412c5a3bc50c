/// \file
/// log.jsonl: one flat JSON object a line, appended and flushed whole, so that a killed run leaves whole
/// lines.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace manyform {

using JsonValue = std::variant<int64_t, double, std::string>;
using JsonRow = std::vector<std::pair<std::string, JsonValue>>;

/// Non-finite numbers become the strings "nan", "inf", "-inf". A torn last line of a killed run is cut off
/// first. One writer at a time. \error as errno says, with the path; the file is then as it was.
absl::Status AppendJsonLine(const std::string& path, const JsonRow& row);
/// Whole lines only: a torn last line is dropped. Keys keep their order; integers beyond int64 become
/// doubles. \error InvalidArgument with path and line number for anything else malformed; files as files.h.
absl::StatusOr<std::vector<JsonRow>> ReadJsonLines(const std::string& path);
/// The same from memory; `name` is what errors call it.
absl::StatusOr<std::vector<JsonRow>> ParseJsonLines(const std::string& text, const std::string& name);

}  // namespace manyform

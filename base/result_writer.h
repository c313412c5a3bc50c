/// \file
/// Result messages as files: .binpb, .textproto or .json by the path's ending.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message.h"

namespace manyform {

enum class ResultFormat { kBinary, kText, kJson };

/// \error InvalidArgument unless the path ends in .binpb, .textproto or .json.
absl::StatusOr<ResultFormat> ResultFormatOf(const std::string& path);

/// JSON is protobuf's, with proto field names. A message with a field `record` of type ResultRecord becomes
/// what the published scripts write: the record's settings and metrics flat at the top (NaN and Infinity
/// bare, as Python writes them; names "a.b" as members of an object "a", "a.b.c" of its object "b"), and the
/// whole message under the key "manyform". \error Internal if a setting is not JSON or two keys are alike.
absl::StatusOr<std::string> FormatResult(const google::protobuf::Message& result, ResultFormat format);

/// The inverse. JSON without the key "manyform" is read as the message itself; bare NaN and Infinity are
/// allowed. \error InvalidArgument for what is not such a message; nesting is limited to 100.
absl::Status ParseResult(const std::string& bytes, ResultFormat format, google::protobuf::Message* result);

/// Both with files; written atomically. \error as above with the path in front, and as files.h.
absl::Status WriteResult(const std::string& path, const google::protobuf::Message& result);
absl::Status ReadResult(const std::string& path, google::protobuf::Message* result);

}  // namespace manyform

#include "base/result_writer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/config.h"
#include "base/files.h"
#include "base/status_macros.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"
#include "proto/record.pb.h"

namespace manyform {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using nlohmann::ordered_json;

constexpr char kWholeMessage[] = "manyform";
constexpr absl::string_view kBareNumbers[] = {"NaN", "Infinity", "-Infinity"};

absl::StatusOr<std::string> MessageToJson(const Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!status.ok())
    return absl::InternalError(absl::StrCat("cannot write JSON: ", std::string(status.message())));
  return text;
}

const FieldDescriptor* RecordField(const Message& message) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName("record");
  const bool is_record =
      field != nullptr && !field->is_repeated() && field->message_type() == ResultRecord::descriptor();
  return is_record ? field : nullptr;
}

std::string MetricJson(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return ordered_json(value).dump();
}

absl::StatusOr<std::string> SettingJson(const Setting& setting) {
  const absl::string_view text = setting.json();
  if (std::find(std::begin(kBareNumbers), std::end(kBareNumbers), text) != std::end(kBareNumbers)) {
    return setting.json();
  }
  const ordered_json value = ordered_json::parse(setting.json(), nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) {
    return absl::InternalError(absl::StrCat("setting ", setting.name(), " is not JSON: ", text));
  }
  return value.dump(2);
}

using Members = std::vector<std::pair<std::string, std::string>>;

// The layout of json.dump(indent=2): one key a line.
absl::StatusOr<std::string> ObjectJson(const Members& members) {
  std::set<std::string> names;
  std::vector<std::string> lines;
  for (const auto& [name, value] : members) {
    if (!names.insert(name).second) {
      return absl::InternalError(absl::StrCat("two published keys are called ", name));
    }
    const std::string key = ordered_json(name).dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    lines.push_back(absl::StrCat("  ", key, ": ", absl::StrReplaceAll(value, {{"\n", "\n  "}})));
  }
  return absl::StrCat("{\n", absl::StrJoin(lines, ",\n"), "\n}");
}

// Members "a.b" become the object "a" with a member "b", where the first of them stands, and so again within
// it, `depth` times: "summary.fscore@0.05" of an object is a name with a number in it after all.
absl::StatusOr<Members> NestMembers(const Members& members, int depth) {
  if (depth == 0) return members;
  Members nested;
  std::map<std::string, Members> objects;
  for (const auto& [name, value] : members) {
    const size_t dot = name.find('.');
    if (dot == std::string::npos) {
      nested.emplace_back(name, value);
      continue;
    }
    const std::string object = name.substr(0, dot);
    if (objects[object].empty()) nested.emplace_back(object, "");
    objects[object].emplace_back(name.substr(dot + 1), value);
  }
  for (auto& [name, value] : nested) {
    const auto object = objects.find(name);
    if (!value.empty() || object == objects.end()) continue;
    MF_ASSIGN_OR_RETURN(const Members inner, NestMembers(object->second, depth - 1));
    MF_ASSIGN_OR_RETURN(value, ObjectJson(inner));
  }
  return nested;
}

absl::StatusOr<std::string> RecordJson(const ResultRecord& record, const std::string& message_json) {
  Members members;
  for (const Setting& setting : record.settings()) {
    MF_ASSIGN_OR_RETURN(std::string value, SettingJson(setting));
    members.emplace_back(setting.name(), std::move(value));
  }
  for (const Metric& metric : record.metrics())
    members.emplace_back(metric.name(), MetricJson(metric.value()));
  // As deep as published results are.
  constexpr int kDepth = 2;
  MF_ASSIGN_OR_RETURN(members, NestMembers(members, kDepth));
  members.emplace_back(kWholeMessage, message_json);
  MF_ASSIGN_OR_RETURN(const std::string object, ObjectJson(members));
  return object + "\n";
}

// Python's bare NaN and Infinity, outside strings, become null: nlohmann::json knows no such numbers. Nesting
// is looked at on the way, since writing and reading JSON recurse.
absl::StatusOr<std::string> WithoutBareNumbers(absl::string_view text) {
  constexpr int kMaxDepth = 100;
  std::string clean;
  clean.reserve(text.size());
  int depth = 0;
  bool in_string = false;
  while (!text.empty()) {
    const char c = text.front();
    size_t take = 1;
    absl::string_view put = text.substr(0, 1);
    if (in_string) {
      if (c == '\\') put = text.substr(0, take = std::min<size_t>(2, text.size()));
      in_string = c != '"';
    } else {
      in_string = c == '"';
      depth += (c == '[' || c == '{') - (c == ']' || c == '}');
      if (depth > kMaxDepth) return absl::InvalidArgumentError("nested more than 100 deep");
      for (const absl::string_view number : kBareNumbers) {
        if (!absl::StartsWith(text, number)) continue;
        take = number.size();
        put = "null";
      }
    }
    absl::StrAppend(&clean, put);
    text.remove_prefix(take);
  }
  return clean;
}

absl::Status ParseJson(const std::string& bytes, Message* result) {
  MF_ASSIGN_OR_RETURN(std::string text, WithoutBareNumbers(bytes));
  const ordered_json json = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return absl::InvalidArgumentError("not JSON");
  if (json.is_object() && json.contains(kWholeMessage)) text = json[kWholeMessage].dump();
  const auto status = google::protobuf::util::JsonStringToMessage(text, result);
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("not a ", result->GetDescriptor()->full_name(), ": ", std::string(status.message())));
}

absl::Status AtPath(const std::string& path, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
}

}  // namespace

absl::StatusOr<ResultFormat> ResultFormatOf(const std::string& path) {
  if (absl::EndsWith(path, ".binpb")) return ResultFormat::kBinary;
  if (absl::EndsWith(path, ".textproto")) return ResultFormat::kText;
  if (absl::EndsWith(path, ".json")) return ResultFormat::kJson;
  return absl::InvalidArgumentError(
      absl::StrCat("\"", path, "\" must end in .binpb, .textproto or .json, which is its format"));
}

absl::StatusOr<std::string> FormatResult(const Message& result, ResultFormat format) {
  std::string bytes;
  switch (format) {
    case ResultFormat::kBinary:
      if (!result.SerializeToString(&bytes))
        return absl::InternalError("the result is too large for one message");
      return bytes;
    case ResultFormat::kText:
      if (!google::protobuf::TextFormat::PrintToString(result, &bytes)) {
        return absl::InternalError("cannot print the result");
      }
      return bytes;
    case ResultFormat::kJson:
      break;
  }
  MF_ASSIGN_OR_RETURN(std::string json, MessageToJson(result));
  const FieldDescriptor* field = RecordField(result);
  if (field == nullptr) return json;
  // By value: the field of a message made by reflection is not of the generated class.
  ResultRecord record;
  const Message& set = result.GetReflection()->GetMessage(result, field);
  if (!record.ParseFromString(set.SerializeAsString())) return absl::InternalError("cannot copy the record");
  return RecordJson(record, std::string(absl::StripTrailingAsciiWhitespace(json)));
}

absl::Status ParseResult(const std::string& bytes, ResultFormat format, Message* result) {
  switch (format) {
    case ResultFormat::kBinary:
      if (result->ParseFromString(bytes)) return absl::OkStatus();
      return absl::InvalidArgumentError(absl::StrCat("not a binary ", result->GetDescriptor()->full_name()));
    case ResultFormat::kText:
      result->Clear();
      return MergeConfigText(bytes, "text", result);
    case ResultFormat::kJson:
      result->Clear();
      return ParseJson(bytes, result);
  }
  return absl::InternalError("no such format");
}

absl::Status WriteResult(const std::string& path, const Message& result) {
  MF_ASSIGN_OR_RETURN(const ResultFormat format, ResultFormatOf(path));
  const absl::StatusOr<std::string> bytes = FormatResult(result, format);
  if (!bytes.ok()) return AtPath(path, bytes.status());
  return WriteFileAtomically(path, *bytes);
}

absl::Status ReadResult(const std::string& path, Message* result) {
  MF_ASSIGN_OR_RETURN(const ResultFormat format, ResultFormatOf(path));
  MF_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  return AtPath(path, ParseResult(bytes, format, result));
}

}  // namespace manyform

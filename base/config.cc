#include "base/config.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <type_traits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"
#include "proto/options.pb.h"

namespace manyform {
namespace {

constexpr char kBadConfigPayload[] = "manyform/bad_config";

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kMaxDepth = 100;

absl::Status BadValue(const std::string& path, absl::string_view given, const std::string& expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("field ", path, ": got \"", absl::Utf8SafeCEscape(given), "\", expected ", expected));
}

bool IsMessage(const FieldDescriptor& field) { return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE; }

void ListFieldsBelow(const Descriptor& type, const std::string& prefix, int depth,
                     std::vector<ConfigField>& found) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const std::string path = prefix + field.name();
    if (!IsMessage(field)) {
      found.push_back({path, &field});
    } else if (depth < 8) {  // A message that contains itself has no last field.
      ListFieldsBelow(*field.message_type(), path + (field.is_repeated() ? "[]." : "."), depth + 1, found);
    }
  }
}

std::string Suggestion(const std::string& name, const Descriptor& type) {
  std::vector<std::string> names;
  for (const ConfigField& field : ListConfigFields(type)) names.push_back(field.path);
  const std::string nearest = NearestName(name, names);
  return nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?");
}

// Keeps the first error of a text.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  FirstError(const std::string& name, const Descriptor& type) : name_(name), type_(type) {}
  void AddError(int line, int column, const std::string& message) override {
    if (!text_.empty()) return;
    text_ = absl::StrCat(name_, ":", line + 1, ":", column + 1, ": ", absl::StripSuffix(message, "."));
    const std::vector<std::string> quoted = absl::StrSplit(message, '"');
    if (quoted.size() == 5 && absl::StrContains(quoted[2], "has no field named")) {
      const Descriptor* type = type_.file()->pool()->FindMessageTypeByName(quoted[1]);
      absl::StrAppend(&text_, Suggestion(quoted[3], type == nullptr ? type_ : *type));
    }
  }
  const std::string& text() const { return text_; }

 private:
  const std::string& name_;
  const Descriptor& type_;
  std::string text_;
};

// Merging appends to repeated fields; a later file is to win.
void ClearRepeatedSetIn(const Message& later, Message* config) {
  std::vector<const FieldDescriptor*> fields;
  later.GetReflection()->ListFields(later, &fields);
  const Reflection& reflection = *config->GetReflection();
  for (const FieldDescriptor* field : fields) {
    if (field->is_repeated()) {
      reflection.ClearField(config, field);
    } else if (IsMessage(*field)) {
      ClearRepeatedSetIn(later.GetReflection()->GetMessage(later, field),
                         reflection.MutableMessage(config, field));
    }
  }
}

// The whole of `text`, finite, no spaces; false otherwise. ScalarTraits of the five number types.
template <class T>
bool ParseNumber(const std::string& text, T* value) {
  if (text.empty() || absl::ascii_isspace(text.front()) || absl::ascii_isspace(text.back())) return false;
  if constexpr (std::is_floating_point_v<T>) {
    double wide;
    if (!absl::SimpleAtod(text, &wide) || std::abs(wide) > std::numeric_limits<T>::max()) return false;
    *value = static_cast<T>(wide);
    return std::isfinite(wide);
  } else {
    return absl::SimpleAtoi(text, value);
  }
}

bool ParseBool(const std::string& text, bool* value) {
  *value = text == "1" || text == "true";
  return *value || text == "0" || text == "false";
}

// Sets a singular field or adds to a repeated one; false if `text` is not of the field's type.
bool Put(const std::string& text, const FieldDescriptor* field, Message* message) {
  const Reflection& reflection = *message->GetReflection();
  const bool repeated = field->is_repeated();
#define MF_PUT(CASE, TYPE, NAME, PARSE)                                \
  case FieldDescriptor::CPPTYPE_##CASE: {                              \
    TYPE value;                                                        \
    if (!PARSE(text, &value)) return false;                            \
    repeated ? reflection.Add##NAME(message, field, std::move(value))  \
             : reflection.Set##NAME(message, field, std::move(value)); \
    return true;                                                       \
  }
  switch (field->cpp_type()) {
    MF_PUT(INT32, int32_t, Int32, ParseNumber)
    MF_PUT(INT64, int64_t, Int64, ParseNumber)
    MF_PUT(UINT32, uint32_t, UInt32, ParseNumber)
    MF_PUT(UINT64, uint64_t, UInt64, ParseNumber)
    MF_PUT(FLOAT, float, Float, ParseNumber)
    MF_PUT(DOUBLE, double, Double, ParseNumber)
    MF_PUT(BOOL, bool, Bool, ParseBool)
    case FieldDescriptor::CPPTYPE_STRING:
      repeated ? reflection.AddString(message, field, text) : reflection.SetString(message, field, text);
      return true;
    case FieldDescriptor::CPPTYPE_ENUM: {
      const google::protobuf::EnumValueDescriptor* value = field->enum_type()->FindValueByName(text);
      if (value == nullptr) return false;
      repeated ? reflection.AddEnum(message, field, value) : reflection.SetEnum(message, field, value);
      return true;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return false;
  }
#undef MF_PUT
  return false;
}

// The number in a field (element `i` of a repeated one); false for what is not a number.
bool GetNumber(const Message& message, const FieldDescriptor* field, int i, double* value) {
  const Reflection& reflection = *message.GetReflection();
#define MF_GET(CASE, NAME)                                                          \
  case FieldDescriptor::CPPTYPE_##CASE:                                             \
    *value = field->is_repeated() ? reflection.GetRepeated##NAME(message, field, i) \
                                  : reflection.Get##NAME(message, field);           \
    return true;
  switch (field->cpp_type()) {
    MF_GET(INT32, Int32)
    MF_GET(INT64, Int64)
    MF_GET(UINT32, UInt32)
    MF_GET(UINT64, UInt64)
    MF_GET(FLOAT, Float)
    MF_GET(DOUBLE, Double)
    default:
      return false;
  }
#undef MF_GET
}

absl::Status CheckValue(const Message& message, const FieldDescriptor* field, int i,
                        const std::string& path) {
  const auto& options = field->options();
  double number = 0;
  if (GetNumber(message, field, i, &number)) {
    if (std::isfinite(number) && !(options.HasExtension(min) && number < options.GetExtension(min)) &&
        !(options.HasExtension(max) && number > options.GetExtension(max))) {
      return absl::OkStatus();
    }
    return BadValue(path, FormatNumber(number), ExpectedValue(*field));
  }
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_STRING || !options.HasExtension(choices)) {
    return absl::OkStatus();
  }
  const Reflection& reflection = *message.GetReflection();
  const std::string value = field->is_repeated() ? reflection.GetRepeatedString(message, field, i)
                                                 : reflection.GetString(message, field);
  const std::vector<std::string> allowed = absl::StrSplit(options.GetExtension(choices), ',');
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return absl::OkStatus();
  return BadValue(path, value, ExpectedValue(*field));
}

bool IsGiven(const Message& message, const FieldDescriptor* field) {
  const Reflection& reflection = *message.GetReflection();
  if (field->is_repeated()) return reflection.FieldSize(message, field) > 0;
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING)
    return !reflection.GetString(message, field).empty();
  return reflection.HasField(message, field);
}

absl::Status CheckBelow(const Message& message, const std::string& prefix) {
  const Descriptor& type = *message.GetDescriptor();
  const Reflection& reflection = *message.GetReflection();
  for (int f = 0; f < type.field_count(); ++f) {
    const FieldDescriptor* field = type.field(f);
    const std::string path = prefix + field->name();
    if (field->options().GetExtension(required) && !IsGiven(message, field)) {
      return absl::InvalidArgumentError(
          absl::StrCat("field ", path, " is required: give ", path, "=..., ", ExpectedValue(*field)));
    }
    const int count =
        field->is_repeated() ? reflection.FieldSize(message, field) : reflection.HasField(message, field);
    for (int i = 0; i < count; ++i) {
      const std::string element = field->is_repeated() ? absl::StrCat(path, "[", i, "]") : path;
      if (!IsMessage(*field)) {
        MF_RETURN_IF_ERROR(CheckValue(message, field, i, element));
      } else {
        const Message& below = field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                                    : reflection.GetMessage(message, field);
        MF_RETURN_IF_ERROR(CheckBelow(below, element + "."));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MergeConfigText(const std::string& text, const std::string& name, Message* config) {
  const std::unique_ptr<Message> parsed(config->New());
  FirstError error(name, *config->GetDescriptor());
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.SetRecursionLimit(kMaxDepth);
  if (!parser.ParseFromString(text, parsed.get())) {
    return absl::InvalidArgumentError(error.text().empty() ? name + ": not a textproto" : error.text());
  }
  ClearRepeatedSetIn(*parsed, config);
  config->MergeFrom(*parsed);
  return absl::OkStatus();
}

absl::Status ApplyOverride(const std::string& argument, Message* config) {
  const size_t equals = argument.find('=');
  if (equals == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("argument \"", absl::Utf8SafeCEscape(argument), "\": expected field=value"));
  }
  const std::string path = argument.substr(0, equals), value = argument.substr(equals + 1);
  const std::vector<std::string> names = absl::StrSplit(path, '.');
  Message* message = config;
  for (size_t n = 0; n < names.size(); ++n) {
    const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(names[n]);
    const bool last = n + 1 == names.size();
    if (field == nullptr || (!last && !IsMessage(*field))) {
      return absl::InvalidArgumentError(absl::StrCat("unknown field \"", absl::Utf8SafeCEscape(path), "\"",
                                                     Suggestion(path, *config->GetDescriptor())));
    }
    if (IsMessage(*field) && field->is_repeated()) {
      return absl::InvalidArgumentError(
          absl::StrCat("field ", path, ": a list of messages is given in a file: --config FILE.textproto"));
    }
    if (IsMessage(*field) && last) {
      return absl::InvalidArgumentError(absl::StrCat(
          "field ", path, ": is a message, set its fields: ", path, ".",
          field->message_type()->field_count() > 0 ? field->message_type()->field(0)->name() : "", "=..."));
    }
    if (!last) {
      message = message->GetReflection()->MutableMessage(message, field);
      continue;
    }
    message->GetReflection()->ClearField(message, field);
    std::vector<std::string> elements = {value};
    if (field->is_repeated()) elements = absl::StrSplit(value, ',');
    if (field->is_repeated() && value.empty()) elements.clear();
    for (const std::string& element : elements) {
      if (!Put(element, field, message)) return BadValue(path, element, ExpectedValue(*field));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckConfig(const Message& config) { return CheckBelow(config, ""); }

const FieldDescriptor* FindResultFileField(const Descriptor& type) {
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->options().GetExtension(result_file)) return type.field(i);
  }
  return nullptr;
}

std::string ExpectedValue(const FieldDescriptor& field) {
  const auto& options = field.options();
  if (options.HasExtension(choices)) {
    return "one of " + absl::StrJoin(absl::StrSplit(options.GetExtension(choices), ','), ", ");
  }
  std::string kind;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return "0, 1, true or false";
    case FieldDescriptor::CPPTYPE_STRING:
      return "a string";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "a message";
    case FieldDescriptor::CPPTYPE_ENUM: {
      std::vector<std::string> names;
      names.reserve(field.enum_type()->value_count());
      for (int i = 0; i < field.enum_type()->value_count(); ++i) {
        names.push_back(field.enum_type()->value(i)->name());
      }
      return "one of " + absl::StrJoin(names, ", ");
    }
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      kind = "a number";
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      if (!options.HasExtension(min) && !options.HasExtension(max)) return "an integer >= 0";
      [[fallthrough]];
    default:
      kind = "an integer";
  }
  const bool low = options.HasExtension(min), high = options.HasExtension(max);
  const std::string from = FormatNumber(options.GetExtension(min)),
                    to = FormatNumber(options.GetExtension(max));
  if (low && high) return absl::StrCat(kind, " in [", from, ", ", to, "]");
  if (low) return absl::StrCat(kind, " >= ", from);
  if (high) return absl::StrCat(kind, " <= ", to);
  return kind;
}

std::string FormatNumber(double value) {
  for (int digits = 6;; ++digits) {
    std::string text = absl::StrFormat("%.*g", digits, value);
    double back = 0;
    if (digits >= 17 || (absl::SimpleAtod(text, &back) && back == value)) return text;
  }
}

std::string NearestName(std::string_view name, const std::vector<std::string>& names) {
  std::string nearest;
  size_t fewest = std::numeric_limits<size_t>::max();
  // A typed name may be of any length; what is near one of ours is not.
  name = name.substr(0, 100);
  for (const std::string& candidate : names) {
    // Levenshtein: edits[j] between the prefixes of `name` and the first j characters of `candidate`.
    std::vector<size_t> edits(candidate.size() + 1);
    std::iota(edits.begin(), edits.end(), size_t{0});
    for (size_t i = 1; i <= name.size(); ++i) {
      size_t diagonal = std::exchange(edits[0], i);
      for (size_t j = 1; j <= candidate.size(); ++j) {
        const size_t changed = diagonal + (name[i - 1] != candidate[j - 1]);
        diagonal = edits[j];
        edits[j] = std::min({changed, edits[j] + 1, edits[j - 1] + 1});
      }
    }
    if (edits.back() < fewest) {
      fewest = edits.back();
      nearest = candidate;
    }
  }
  return nearest;
}

absl::Status BadConfigError(std::string_view message) {
  absl::Status status = absl::InvalidArgumentError(ToAbsl(message));
  status.SetPayload(kBadConfigPayload, absl::Cord());
  return status;
}

bool IsBadConfig(const absl::Status& status) { return status.GetPayload(kBadConfigPayload).has_value(); }

std::vector<ConfigField> ListConfigFields(const Descriptor& type) {
  std::vector<ConfigField> found;
  ListFieldsBelow(type, "", 0, found);
  return found;
}

}  // namespace manyform

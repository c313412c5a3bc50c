/// \file
/// Config messages by reflection: textproto files, `field.path=value` overrides, checks and help, all from
/// what proto/options.proto lets a field say of itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace manyform {

/// Merges textproto into `config`; `name` is what errors call the text. Singular fields of the text win; a
/// repeated field of the text replaces the config's.
/// \error InvalidArgument "<name>:<line>:<column>: ..." for syntax and for unknown fields (with the nearest
/// name).
absl::Status MergeConfigText(const std::string& text, const std::string& name,
                             google::protobuf::Message* config);

/// Applies `field.path=value`. A repeated field is replaced by the comma-separated values; an empty value
/// clears it. Bools are 0, 1, true or false; numbers are finite and parsed to their last character.
/// \error InvalidArgument with the field's name, the value and what was expected.
absl::Status ApplyOverride(const std::string& argument, google::protobuf::Message* config);

/// Required fields, ranges and choices of every field that is set, in nested messages too.
/// \error InvalidArgument for the first one in field order that is missing or out of range.
absl::Status CheckConfig(const google::protobuf::Message& config);

/// InvalidArgument for options that do not go together, found out by the program itself: run_main exits with
/// 2, as for what CheckConfig finds.
absl::Status BadConfigError(std::string_view message);
bool IsBadConfig(const absl::Status& status);

/// The field marked (result_file), or null.
const google::protobuf::FieldDescriptor* FindResultFileField(const google::protobuf::Descriptor& type);

/// What a value of `field` may be: "an integer in [1, 65536]", "one of a, b".
std::string ExpectedValue(const google::protobuf::FieldDescriptor& field);

/// The shortest decimal that reads back as `value`.
std::string FormatNumber(double value);

/// Of `names`, the one with the fewest edits to `name`; "" if there are none.
std::string NearestName(std::string_view name, const std::vector<std::string>& names);

/// Every field below `type` that takes a value, messages dotted: "optimizer.lr". Fields of repeated messages
/// are included as "datasets[].weight".
struct ConfigField {
  std::string path;
  const google::protobuf::FieldDescriptor* field;
};
std::vector<ConfigField> ListConfigFields(const google::protobuf::Descriptor& type);

}  // namespace manyform

#include "data/build_options.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/provenance.h"
#include "google/protobuf/text_format.h"
#include "proto/options.pb.h"

namespace manyform {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void KeepWhatChangesShapes(const std::vector<std::string>& left_out, Message* config) {
  const auto& type = *config->GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    if (field->options().GetExtension(not_in_fingerprint) ||
        std::find(left_out.begin(), left_out.end(), field->name()) != left_out.end()) {
      config->GetReflection()->ClearField(config, field);
    }
  }
}

std::string ValueText(const Message& config, const FieldDescriptor* field) {
  std::string text;
  const google::protobuf::Reflection& reflection = *config.GetReflection();
  if (!field->is_repeated()) {
    google::protobuf::TextFormat::PrintFieldValueToString(config, field, -1, &text);
    return text;
  }
  for (int k = 0; k < reflection.FieldSize(config, field); ++k) {
    std::string value;
    google::protobuf::TextFormat::PrintFieldValueToString(config, field, k, &value);
    absl::StrAppend(&text, k > 0 ? "," : "", value);
  }
  return text;
}

absl::Status Differs(absl::string_view what, absl::string_view then, absl::string_view now) {
  return absl::FailedPreconditionError(absl::StrCat("it was built with ", what, "=", then, ", not ", now));
}

absl::Status OtherVersion() {
  return absl::FailedPreconditionError("it was built by another version of this program");
}

absl::Status NoOptions() {
  return absl::FailedPreconditionError("its manifest does not say how it was built");
}

}  // namespace

void SetBuildOptions(const Collection& collection, CacheManifest* manifest) {
  const std::unique_ptr<Message> options(collection.config->New());
  options->CopyFrom(*collection.config);
  KeepWhatChangesShapes(collection.unfingerprinted, options.get());
  google::protobuf::TextFormat::PrintToString(*options, manifest->mutable_build_config());
  manifest->set_build_fingerprint(ConfigFingerprint(*options));
}

absl::Status CheckSameOptions(const CacheManifest& existing, const Collection& collection) {
  CacheManifest wanted;
  SetBuildOptions(collection, &wanted);
  if (existing.build_fingerprint() == wanted.build_fingerprint()) return absl::OkStatus();
  const std::unique_ptr<Message> then(collection.config->New()), now(collection.config->New());
  now->CopyFrom(*collection.config);
  google::protobuf::TextFormat::Parser parser;
  parser.AllowUnknownField(true);
  if (existing.build_config().empty() || !parser.ParseFromString(existing.build_config(), then.get())) {
    return NoOptions();
  }
  for (Message* config : {then.get(), now.get()}) {
    FillDefaults(config);
    KeepWhatChangesShapes(collection.unfingerprinted, config);
  }
  const auto& type = *now->GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    const std::string old_value = ValueText(*then, field), new_value = ValueText(*now, field);
    if (old_value != new_value) return Differs(field->name(), old_value, new_value);
  }
  return OtherVersion();
}

absl::Status CheckSameOptions(const CacheManifest& existing, const CacheManifest& now) {
  if (existing.build_fingerprint() == now.build_fingerprint()) return absl::OkStatus();
  if (existing.build_config().empty()) return NoOptions();
  // Lines of "name: value", in the order of the fields.
  const auto lines_of = [](const std::string& text) {
    return std::vector<std::string>(absl::StrSplit(text, '\n', absl::SkipEmpty()));
  };
  const std::vector<std::string> then_lines = lines_of(existing.build_config());
  const std::vector<std::string> now_lines = lines_of(now.build_config());
  for (size_t i = 0; i < std::max(then_lines.size(), now_lines.size()); ++i) {
    const std::string then_line = i < then_lines.size() ? then_lines[i] : "nothing more";
    const std::string now_line = i < now_lines.size() ? now_lines[i] : "nothing more";
    if (then_line == now_line) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("it was built with \"", then_line, "\", not \"", now_line, "\""));
  }
  return OtherVersion();
}

}  // namespace manyform

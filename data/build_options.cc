#include "data/build_options.h"

#include "absl/strings/str_cat.h"
#include "base/provenance.h"
#include "google/protobuf/text_format.h"
#include "proto/options.pb.h"

namespace manyform {
namespace {

using google::protobuf::FieldDescriptor;

BuildCacheConfig WhatChangesShapes(BuildCacheConfig config) {
  FillDefaults(&config);
  config.clear_split();
  const auto& type = *config.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->options().GetExtension(not_in_fingerprint)) {
      config.GetReflection()->ClearField(&config, type.field(i));
    }
  }
  return config;
}

std::string ValueText(const BuildCacheConfig& config, const FieldDescriptor* field) {
  std::string text;
  google::protobuf::TextFormat::PrintFieldValueToString(config, field, -1, &text);
  return text;
}

}  // namespace

void SetBuildOptions(const BuildCacheConfig& config, CacheManifest* manifest) {
  const BuildCacheConfig options = WhatChangesShapes(config);
  google::protobuf::TextFormat::PrintToString(options, manifest->mutable_build_config());
  manifest->set_build_fingerprint(ConfigFingerprint(options));
}

absl::Status CheckSameOptions(const CacheManifest& existing, const BuildCacheConfig& config) {
  const BuildCacheConfig now = WhatChangesShapes(config);
  if (existing.build_fingerprint() == ConfigFingerprint(now)) return absl::OkStatus();
  BuildCacheConfig then;
  google::protobuf::TextFormat::Parser parser;
  parser.AllowUnknownField(true);
  if (existing.build_config().empty() || !parser.ParseFromString(existing.build_config(), &then)) {
    return absl::FailedPreconditionError("its manifest does not say how it was built");
  }
  then = WhatChangesShapes(then);
  const auto& type = *now.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    const std::string old_value = ValueText(then, field), new_value = ValueText(now, field);
    if (old_value == new_value) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("it was built with ", field->name(), "=", old_value, ", not ", new_value));
  }
  return absl::FailedPreconditionError("it was built by another version of this program");
}

}  // namespace manyform

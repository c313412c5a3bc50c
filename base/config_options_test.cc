// What every config message declares of itself has to agree with itself: these declarations are the checks,
// the help and the documentation.
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/config.h"
#include "base/provenance.h"
#include "google/protobuf/dynamic_message.h"
#include "gtest/gtest.h"
#include "proto/cache.pb.h"
#include "proto/demo.pb.h"
#include "proto/eval.pb.h"
#include "proto/options.pb.h"
#include "proto/split.pb.h"
#include "proto/train.pb.h"

namespace manyform {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// MixConfig is a file of its own, not a program's config.
std::vector<const Descriptor*> Configs() {
  std::vector<const Descriptor*> configs;
  for (const Descriptor* some :
       {BuildCacheConfig::descriptor(), ImportFurnitureConfig::descriptor(), UcprConfig::descriptor(),
        SplitUnpairedConfig::descriptor(), PretrainConfig::descriptor()}) {
    for (int i = 0; i < some->file()->message_type_count(); ++i) {
      const Descriptor* type = some->file()->message_type(i);
      if (absl::EndsWith(type->name(), "Config") && type->name() != "MixConfig") configs.push_back(type);
    }
  }
  return configs;
}

TEST(ConfigOptions, DefaultsPassTheirOwnChecks) {
  for (const Descriptor* type : Configs()) {
    const std::unique_ptr<google::protobuf::Message> config(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
    FillDefaults(config.get());
    for (const ConfigField& listed : ListConfigFields(*type)) {
      if (!listed.field->options().GetExtension(required) || listed.field->containing_type() != type)
        continue;
      const auto& options = listed.field->options();
      std::string value = options.GetExtension(choices);
      value = value.empty() ? "1" : value.substr(0, value.find(','));
      EXPECT_TRUE(ApplyOverride(listed.path + "=" + value, config.get()).ok()) << type->name() << listed.path;
    }
    EXPECT_EQ(CheckConfig(*config).message(), "") << type->name();
  }
}

TEST(ConfigOptions, EveryFieldHasHelp) {
  ASSERT_GE(Configs().size(), 10);
  for (const Descriptor* type : Configs()) {
    for (const ConfigField& listed : ListConfigFields(*type)) {
      EXPECT_FALSE(listed.field->options().GetExtension(help).empty()) << type->name() << "." << listed.path;
    }
  }
}

TEST(ConfigOptions, RangesAndChoicesAreOnFieldsThatHaveThem) {
  for (const Descriptor* type : Configs()) {
    for (const ConfigField& listed : ListConfigFields(*type)) {
      const auto& options = listed.field->options();
      const FieldDescriptor::CppType kind = listed.field->cpp_type();
      const std::string name = type->name() + "." + listed.path;
      const bool number = kind != FieldDescriptor::CPPTYPE_STRING && kind != FieldDescriptor::CPPTYPE_BOOL &&
                          kind != FieldDescriptor::CPPTYPE_ENUM;
      EXPECT_FALSE((options.HasExtension(min) || options.HasExtension(max)) && !number) << name;
      EXPECT_FALSE(options.HasExtension(choices) && kind != FieldDescriptor::CPPTYPE_STRING) << name;
      if (options.HasExtension(min) && options.HasExtension(max)) {
        EXPECT_LE(options.GetExtension(min), options.GetExtension(max)) << name;
      }
    }
  }
}

TEST(ConfigOptions, OneResultFileOutsideTheFingerprint) {
  for (const Descriptor* type : Configs()) {
    int marked = 0;
    for (int i = 0; i < type->field_count(); ++i) {
      const auto& options = type->field(i)->options();
      if (!options.GetExtension(result_file)) continue;
      ++marked;
      EXPECT_EQ(type->field(i)->cpp_type(), FieldDescriptor::CPPTYPE_STRING) << type->name();
      EXPECT_TRUE(options.GetExtension(not_in_fingerprint)) << type->name();
    }
    EXPECT_EQ(marked, 1) << type->name();
  }
}

}  // namespace
}  // namespace manyform

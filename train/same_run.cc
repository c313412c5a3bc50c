#include "train/same_run.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "base/provenance.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/text_format.h"
#include "proto/options.pb.h"

namespace manyform {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::TextFormat;

constexpr char kEpochs[] = "epochs";

std::unique_ptr<Message> Effective(const Message& config) {
  std::unique_ptr<Message> effective(config.New());
  effective->CopyFrom(config);
  FillDefaults(effective.get());
  const google::protobuf::Descriptor& type = *config.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i)
    if (type.field(i)->options().GetExtension(not_in_fingerprint))
      config.GetReflection()->ClearField(effective.get(), type.field(i));
  return effective;
}

std::string ValueText(const Message& config, const FieldDescriptor* field) {
  if (!field->is_repeated() && !config.GetReflection()->HasField(config, field)) return "not given";
  std::string text;
  TextFormat::PrintFieldValueToString(config, field, -1, &text);
  return text;
}

}  // namespace

std::string RunFingerprint(const Message& config) {
  const std::unique_ptr<Message> copy(config.New());
  copy->CopyFrom(config);
  copy->GetReflection()->ClearField(copy.get(), copy->GetDescriptor()->FindFieldByName(kEpochs));
  return ConfigFingerprint(*copy);
}

std::string RunConfigText(const Message& config) {
  std::string text;
  TextFormat::PrintToString(*Effective(config), &text);
  return text;
}

absl::Status CheckSameRun(const std::string& path, const CheckpointHeader& header, const Message& config,
                          const std::string& data_fingerprint) {
  const auto refuse = [&](const std::string& what) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": ", what, "; use another save_dir, or the run's own settings"));
  };
  if (header.config_fingerprint() != RunFingerprint(config)) {
    const std::unique_ptr<Message> then(config.New()), now = Effective(config);
    if (!TextFormat::ParseFromString(header.config(), then.get()))
      return refuse("made by another program, or another version of it");
    const google::protobuf::Descriptor& type = *config.GetDescriptor();
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor* field = type.field(i);
      const std::string was = ValueText(*then, field), is = ValueText(*now, field);
      if (field->name() != kEpochs && was != is)
        return refuse(absl::StrCat("made with ", field->name(), " ", was, ", now ", is));
    }
    return refuse("made under another version of the config");
  }
  if (header.data_fingerprint() != data_fingerprint)
    return refuse(
        "made from other inputs: the shapes, their mixture or the checkpoint it started from have changed");
  return absl::OkStatus();
}

}  // namespace manyform

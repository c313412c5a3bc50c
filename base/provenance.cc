#include "base/provenance.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/hash.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/text_format.h"
#include "proto/options.pb.h"

// Defined by //base:build_stamp, which only programs link.
extern "C" __attribute__((weak)) const char* ManyformBuildCommit();

namespace manyform {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Initialised before main: near enough to the start of the process.
const std::chrono::steady_clock::time_point process_start = std::chrono::steady_clock::now();

struct Notes {
  std::mutex mutex;
  std::map<std::string, std::string> inputs;
  std::map<std::string, uint64_t> seeds;
};

Notes& TheNotes() {
  static Notes* const notes = new Notes;
  return *notes;
}

template <class Visit>
void ForEachMessageBelow(Message* message, Visit visit) {
  const Reflection& reflection = *message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      visit(reflection.MutableMessage(message, field));
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(*message, field); ++i) {
      visit(reflection.MutableRepeatedMessage(message, field, i));
    }
  }
}

void SetDefault(const FieldDescriptor* field, Message* message) {
  const Reflection& reflection = *message->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.SetInt32(message, field, field->default_value_int32());
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.SetInt64(message, field, field->default_value_int64());
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection.SetUInt32(message, field, field->default_value_uint32());
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection.SetUInt64(message, field, field->default_value_uint64());
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection.SetFloat(message, field, field->default_value_float());
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.SetDouble(message, field, field->default_value_double());
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.SetBool(message, field, field->default_value_bool());
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection.SetEnum(message, field, field->default_value_enum());
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.SetString(message, field, field->default_value_string());
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return;
  }
}

void ClearOutsideFingerprint(Message* message) {
  const google::protobuf::Descriptor& type = *message->GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->options().GetExtension(not_in_fingerprint)) {
      message->GetReflection()->ClearField(message, type.field(i));
    }
  }
  ForEachMessageBelow(message, ClearOutsideFingerprint);
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

}  // namespace

std::string_view BuildCommit() { return ManyformBuildCommit == nullptr ? "unknown" : ManyformBuildCommit(); }

void FillDefaults(Message* config) {
  const google::protobuf::Descriptor& type = *config->GetDescriptor();
  const Reflection& reflection = *config->GetReflection();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    if (!field->is_repeated() && field->has_default_value() && !reflection.HasField(*config, field)) {
      SetDefault(field, config);
    }
  }
  ForEachMessageBelow(config, FillDefaults);
}

std::string ConfigFingerprint(const Message& config) {
  const std::unique_ptr<Message> effective(config.New());
  effective->CopyFrom(config);
  FillDefaults(effective.get());
  ClearOutsideFingerprint(effective.get());
  // The type's name: two stages may have fields alike.
  std::string bytes = absl::StrCat(config.GetDescriptor()->full_name(), "\n");
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    effective->SerializePartialToCodedStream(&coded);
  }
  return Sha256Hex(bytes);
}

void NoteInput(std::string_view path, std::string_view fingerprint) {
  const std::lock_guard lock(TheNotes().mutex);
  TheNotes().inputs[std::string(path)] = fingerprint;
}

void NoteSeed(std::string_view name, uint64_t seed) {
  const std::lock_guard lock(TheNotes().mutex);
  TheNotes().seeds[std::string(name)] = seed;
}

Provenance CollectProvenance(std::string_view program, const Message& config) {
  Provenance provenance;
  provenance.set_binary(std::string(program));
  provenance.set_git_commit(std::string(BuildCommit()));
  const std::unique_ptr<Message> effective(config.New());
  effective->CopyFrom(config);
  FillDefaults(effective.get());
  google::protobuf::TextFormat::PrintToString(*effective, provenance.mutable_config());
  provenance.set_config_fingerprint(ConfigFingerprint(config));
  {
    const std::lock_guard lock(TheNotes().mutex);
    for (const auto& [path, fingerprint] : TheNotes().inputs) {
      InputFingerprint* input = provenance.add_inputs();
      input->set_path(path);
      input->set_fingerprint(fingerprint);
    }
    for (const auto& [name, value] : TheNotes().seeds) {
      NamedSeed* seed = provenance.add_seeds();
      seed->set_name(name);
      seed->set_seed(value);
    }
  }
  char host[256] = {};
  if (gethostname(host, sizeof(host) - 1) == 0) provenance.set_host(host);
  using FpSeconds = std::chrono::duration<double>;
  provenance.set_wall_seconds(FpSeconds(std::chrono::steady_clock::now() - process_start).count());
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  provenance.set_cpu_seconds(Seconds(usage.ru_utime) + Seconds(usage.ru_stime));
  provenance.set_peak_memory_bytes(usage.ru_maxrss * int64_t{1024});
  provenance.set_finished_at(absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone()));
  return provenance;
}

}  // namespace manyform

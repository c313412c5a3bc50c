#include "base/run_main.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/config.h"
#include "base/config_help.h"
#include "base/files.h"
#include "base/follower.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/result_writer.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

enum ExitCode { kDone = 0, kFailed = 1, kBadConfig = 2, kFindings = 3 };

struct Arguments {
  std::vector<std::string> config_files, overrides;
  std::string log_file;
  bool help = false;
};

absl::StatusOr<Arguments> ParseArguments(int argc, char** argv) {
  Arguments parsed;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      parsed.help = true;
      continue;
    }
    if (!absl::StartsWith(argument, "-")) {
      parsed.overrides.push_back(argument);
      continue;
    }
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    if (name != "--config" && name != "--log") {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown option ", argument, "; a field is given as field=value, see --help"));
    }
    if (equals == std::string::npos && i + 1 == argc) {
      return absl::InvalidArgumentError(absl::StrCat("option ", name, " needs a file"));
    }
    const std::string value = equals == std::string::npos ? argv[++i] : argument.substr(equals + 1);
    name == "--log" ? parsed.log_file = value : parsed.config_files.emplace_back(value);
  }
  return parsed;
}

// `bazel run` starts programs elsewhere, and says where the user was.
absl::Status GoToTypedFolder() {
  const char* folder = getenv("BUILD_WORKING_DIRECTORY");
  if (folder == nullptr || *folder == '\0' || chdir(folder) == 0) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("BUILD_WORKING_DIRECTORY=", folder, ": ", strerror(errno)));
}

// Where the result goes; "" for nowhere.
absl::StatusOr<std::string> ResultPath(const Message& config) {
  const FieldDescriptor* field = FindResultFileField(*config.GetDescriptor());
  if (field == nullptr) return std::string();
  std::string path = config.GetReflection()->GetString(config, field);
  if (path.empty()) return path;
  if (absl::StatusOr<ResultFormat> format = ResultFormatOf(path); !format.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("field ", field->name(), ": ", format.status().message()));
  }
  return path;
}

absl::Status ReadConfig(const Arguments& arguments, Message& config) {
  for (const std::string& path : arguments.config_files) {
    MF_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    MF_RETURN_IF_ERROR(MergeConfigText(text, path, &config));
  }
  for (const std::string& argument : arguments.overrides) {
    MF_RETURN_IF_ERROR(ApplyOverride(argument, &config));
  }
  MF_RETURN_IF_ERROR(CheckConfig(config));
  if (!arguments.log_file.empty()) return SetLogFile(arguments.log_file);
  return absl::OkStatus();
}

absl::Status RunCatching(const std::function<absl::Status()>& run) {
  try {
    return run();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (const std::exception& e) {
    return absl::InternalError(e.what());
  } catch (...) {
    return absl::InternalError("an exception of unknown type");
  }
}

void SetProvenance(const std::string& program, const Message& config, Message& result) {
  const FieldDescriptor* field = result.GetDescriptor()->FindFieldByName("provenance");
  if (field == nullptr || field->is_repeated() || field->message_type() != Provenance::descriptor()) return;
  result.GetReflection()->MutableMessage(&result, field)->CopyFrom(CollectProvenance(program, config));
}

// Says each on a line if they are lines, else how many there are: what has a form of its own the program has
// shown.
int ReportFindings(const Message& result) {
  const FieldDescriptor* field = result.GetDescriptor()->FindFieldByName("findings");
  if (field == nullptr || !field->is_repeated()) return 0;
  const google::protobuf::Reflection& reflection = *result.GetReflection();
  const int count = reflection.FieldSize(result, field);
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) {
    if (count > 0) LogLine(absl::StrCat(count, count == 1 ? " finding" : " findings"));
    return count;
  }
  for (int i = 0; i < count; ++i) {
    LogLine("finding: " + reflection.GetRepeatedString(result, field, i));
  }
  return count;
}

ExitCode Fail(ExitCode code, const absl::Status& status) {
  // Whoever fails says so.
  SetFollower(false);
  // One line, whatever a library put into its message.
  const std::string text = absl::StrReplaceAll(absl::StripAsciiWhitespace(status.message()),
                                               {{"\r\n", "; "}, {"\n", "; "}, {"\r", "; "}});
  LogLine("error: " + (text.empty() ? status.ToString() : text));
  return code;
}

}  // namespace

int RunMainUntyped(int argc, char** argv, std::string_view about, Message& config, Message& result,
                   const std::function<absl::Status()>& run) {
  InstallInterruptHandler();
  const std::string path = argc > 0 ? argv[0] : "";
  const std::string program = path.substr(path.rfind('/') + 1);

  const absl::StatusOr<Arguments> arguments = ParseArguments(argc, argv);
  if (!arguments.ok()) return Fail(kBadConfig, arguments.status());
  if (arguments->help) {
    const std::string text = HelpText(program, std::string(about), *config.GetDescriptor());
    fwrite(text.data(), 1, text.size(), stdout);
    return fflush(stdout) == 0 ? kDone : kFailed;
  }
  if (absl::Status status = GoToTypedFolder(); !status.ok()) return Fail(kBadConfig, status);
  if (absl::Status status = ReadConfig(*arguments, config); !status.ok()) return Fail(kBadConfig, status);
  const absl::StatusOr<std::string> result_path = ResultPath(config);
  if (!result_path.ok()) return Fail(kBadConfig, result_path.status());

  if (absl::Status status = RunCatching(run); !status.ok()) {
    return Fail(IsBadConfig(status) ? kBadConfig : kFailed, status);
  }
  SetProvenance(program, config, result);
  if (!result_path->empty() && !IsFollower()) {
    if (absl::Status status = WriteResult(*result_path, result); !status.ok()) return Fail(kFailed, status);
  }
  return ReportFindings(result) > 0 ? kFindings : kDone;
}

}  // namespace manyform

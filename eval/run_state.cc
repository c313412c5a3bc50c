#include "eval/run_state.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <fstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/config.h"
#include "base/files.h"
#include "base/log.h"
#include "eval/record.h"
#include "proto/train.pb.h"

namespace manyform {
namespace {

constexpr off_t kMaxText = 1 << 20, kMaxRecord = 64 << 20;
// How run_main ends a program that failed.
constexpr absl::string_view kErrorMark = "error: ";
constexpr std::streamoff kMaxLine = 1 << 16;
// A step of a large model may take minutes.
constexpr double kLongSilence = 600;

struct Process {
  std::string host;
  int pid = 0;
  bool operator==(const Process&) const = default;
};

std::string ThisHost() {
  char host[256] = {};
  return gethostname(host, sizeof(host) - 1) == 0 ? host : "unknown";
}

bool IsHere(const Process& process) { return process.host == ThisHost(); }

bool IsAlive(const Process& process) {
  return !IsHere(process) || kill(process.pid, 0) == 0 || errno == EPERM;
}

// "host pid"; nothing for an empty or torn one.
std::optional<Process> ParseLock(const std::optional<std::string>& lock) {
  if (!lock.has_value()) return std::nullopt;
  const std::vector<std::string> words = absl::StrSplit(*lock, ' ');
  Process holder;
  if (words.size() != 2 || !absl::SimpleAtoi(words[1], &holder.pid) || holder.pid <= 0) return std::nullopt;
  holder.host = words[0];
  return holder;
}

RunState State(RunState::State state, std::string text = "") {
  RunState made;
  made.set_state(state);
  if (!text.empty()) made.set_text(std::move(text));
  return made;
}

RunState Unreadable(std::string text) { return State(RunState::UNREADABLE, std::move(text)); }

std::string OnHost(const Process& process) {
  return IsHere(process) ? "" : absl::StrCat(" on ", process.host);
}

RunState Done(double value, const Provenance& provenance) {
  if (!std::isfinite(value)) return Unreadable(absl::StrCat("record.binpb: its value is ", value));
  RunState state = State(RunState::DONE);
  state.set_value(value);
  state.set_seconds(provenance.wall_seconds());
  return state;
}

RunState PretrainingRecord(const std::string& bytes) {
  PretrainResult result;
  if (!result.ParseFromString(bytes) || result.checkpoint().empty())
    return Unreadable("record.binpb: not a record of pretrain");
  return Done(result.last_loss(), result.provenance());
}

RunState CellRecord(const std::string& bytes, const PlannedCell& cell) {
  FinetuneResult result;
  if (!result.ParseFromString(bytes) || result.record().stage() != "finetune")
    return Unreadable("record.binpb: not a record of finetune");
  const ResultRecord& record = result.record();
  const auto differs = [&](const char* setting, int64_t value) {
    return SettingOf(record, setting) != absl::StrCat(value);
  };
  if (record.label() != cell.method || differs("fewshot_k", cell.fewshot_k) || differs("seed", cell.seed))
    return Unreadable(absl::StrCat("record.binpb: of another cell: ", record.label(), ", fewshot_k ",
                                   SettingOf(record, "fewshot_k"), ", seed ", SettingOf(record, "seed")));
  return Done(MetricOr(record, "test_acc", std::nan("")), result.provenance());
}

RunState RunningState(const RunStatus& status, const Process& process, double silent_seconds) {
  RunState state = State(RunState::RUNNING);
  state.set_epoch(status.epoch());
  state.set_epochs(status.epochs());
  std::string text = absl::StrCat(status.epoch(), "/", status.epochs(), " epochs");
  // Before the first step there is no rate.
  if (status.samples_per_second() > 0) {
    state.set_samples_per_second(status.samples_per_second());
    state.set_seconds_left(status.seconds_left());
    absl::StrAppendFormat(&text, ", %.0f samples/s, %s left", status.samples_per_second(),
                          HumanDuration(status.seconds_left()));
  }
  absl::StrAppend(&text, OnHost(process));
  if (silent_seconds > kLongSilence) absl::StrAppend(&text, ", silent for ", HumanDuration(silent_seconds));
  state.set_text(std::move(text));
  return state;
}

RunState StatusState(const RunStatus& status, const Process& process, double silent_seconds) {
  const double numbers[] = {status.samples_per_second(), status.seconds_left(),
                            static_cast<double>(status.epoch()), static_cast<double>(status.epochs())};
  for (const double number : numbers) {
    if (!std::isfinite(number) || number < 0 || number > 1e15)
      return Unreadable(
          absl::StrCat("status.textproto: ", number, " is no number of epochs, samples or seconds"));
  }
  if (status.state() == "done") return State(RunState::WAITING, "was done, its record.binpb is gone");
  if (status.state() == "failed")
    return State(RunState::FAILED, status.error().empty() ? "no reason given" : status.error());
  if (status.state() != "running")
    return Unreadable(
        absl::StrCat("status.textproto: state \"", status.state(), "\", expected running, done or failed"));
  if (process.pid <= 0) return Unreadable(absl::StrCat("status.textproto: pid ", process.pid));
  if (!IsAlive(process))
    return State(RunState::DIED, absl::StrCat("process ", process.pid, " is gone, after ", status.epoch(),
                                              " of ", status.epochs(), " epochs"));
  return RunningState(status, process, silent_seconds);
}

std::optional<std::string> ReadSmall(const std::string& path, off_t most, std::string* error) {
  struct stat file;
  if (stat(path.c_str(), &file) == 0 && file.st_size > most) {
    *error = absl::StrCat(path, ": ", HumanBytes(file.st_size), " is more than a run writes");
    return std::nullopt;
  }
  absl::StatusOr<std::string> bytes = ReadFile(path);
  if (bytes.ok()) return *std::move(bytes);
  if (!absl::IsNotFound(bytes.status())) *error = std::string(bytes.status().message());
  return std::nullopt;
}

std::optional<std::string> LastLine(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(0, std::ios::end);
  const std::streamoff size = file.tellg(), from = std::max<std::streamoff>(0, size - kMaxLine);
  std::string text(static_cast<size_t>(std::max<std::streamoff>(0, size - from)), '\0');
  if (!file.seekg(from) || !file.read(text.data(), static_cast<std::streamsize>(text.size())))
    return std::nullopt;
  text.erase(text.find_last_not_of('\n') + 1);
  return text.substr(text.rfind('\n') + 1);
}

double SecondsSinceWritten(const std::string& path) {
  struct stat file;
  if (stat(path.c_str(), &file) != 0) return 0;
  const auto written = std::chrono::system_clock::from_time_t(file.st_mtime);
  return std::chrono::duration<double>(std::chrono::system_clock::now() - written).count();
}

}  // namespace

RunFiles ReadRunFiles(const std::string& folder, const std::string& log) {
  RunFiles files;
  files.status = ReadSmall(JoinPath(folder, "status.textproto"), kMaxText, &files.error);
  files.lock = ReadSmall(JoinPath(folder, "lock"), kMaxText, &files.error);
  files.silent_seconds = SecondsSinceWritten(JoinPath(folder, "status.textproto"));
  files.last_log = LastLine(log);
  // Last: a run that is done wrote it before it said so.
  files.record = ReadSmall(JoinPath(folder, "record.binpb"), kMaxRecord, &files.error);
  return files;
}

RunState StateOf(const RunFiles& files, const PlannedCell* cell) {
  if (!files.error.empty()) return Unreadable(files.error);
  if (files.record.has_value())
    return cell == nullptr ? PretrainingRecord(*files.record) : CellRecord(*files.record, *cell);
  RunStatus status;
  if (files.status.has_value()) {
    const absl::Status parsed = MergeConfigText(*files.status, "status.textproto", &status);
    if (!parsed.ok()) return Unreadable(std::string(parsed.message()));
  }
  const Process process{.host = status.host(), .pid = status.pid()};
  const std::optional<Process> holder = ParseLock(files.lock);
  if (holder.has_value() && IsAlive(*holder) && (!files.status.has_value() || !(process == *holder)))
    return State(RunState::RUNNING, absl::StrCat("starting", OnHost(*holder)));
  if (files.status.has_value()) return StatusState(status, process, files.silent_seconds);
  const std::string last = files.last_log.value_or("");
  if (absl::StartsWith(last, kErrorMark)) return State(RunState::FAILED, last.substr(kErrorMark.size()));
  return State(RunState::WAITING);
}

}  // namespace manyform

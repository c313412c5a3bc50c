#include "train/run_folder.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/files.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "google/protobuf/text_format.h"

namespace manyform {
namespace {

constexpr std::chrono::seconds kStatusPeriod{2};

std::string HostName() {
  char host[256] = {};
  return gethostname(host, sizeof(host) - 1) == 0 ? host : "unknown";
}

absl::Status ErrnoError(const std::string& what) {
  return absl::InternalError(absl::StrCat(what, ": ", strerror(errno)));
}

struct Holder {
  std::string host;
  int pid = 0;
};

// "host pid"; nothing if the file is empty or torn, which only a killed process of this host leaves.
Holder ReadHolder(int fd) {
  char text[512] = {};
  const ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
  const std::vector<std::string> words = absl::StrSplit(std::string(text, size > 0 ? size : 0), ' ');
  Holder holder;
  if (words.size() == 2 && absl::SimpleAtoi(words[1], &holder.pid)) holder.host = words[0];
  return holder;
}

absl::Status Held(const std::string& path, const Holder& holder, const std::string& advice) {
  return absl::FailedPreconditionError(absl::StrCat(path, ": another run holds it (host ", holder.host,
                                                    ", process ", holder.pid, ")", advice));
}

// File locks are the kernel's, and go with their process; the file's text is for hosts that do not share
// them.
absl::Status Claim(const std::string& path, int fd) {
  const Holder holder = ReadHolder(fd);
  const bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
  if (!locked && errno == EWOULDBLOCK) return Held(path, ReadHolder(fd), "");
  const bool here = holder.host == HostName();
  if (!holder.host.empty() && !here)
    return Held(path, holder, absl::StrCat("; if it is no more, remove ", path));
  if (!locked && here && holder.pid != getpid() && kill(holder.pid, 0) == 0) return Held(path, holder, "");
  if (here) LogLine(absl::StrCat(path, ": taken over from process ", holder.pid, ", which is gone"));
  const std::string text = absl::StrCat(HostName(), " ", getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return ErrnoError(path);
  return absl::OkStatus();
}

// The file we locked is still the one at `path`: its last holder may have removed it in between.
bool SameFile(const std::string& path, int fd) {
  struct stat opened, named;
  return fstat(fd, &opened) == 0 && stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
         opened.st_dev == named.st_dev;
}

absl::StatusOr<int> Lock(const std::string& path) {
  for (;;) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return ErrnoError(path);
    absl::Status claimed = Claim(path, fd);
    if (claimed.ok() && SameFile(path, fd)) return fd;
    close(fd);
    MF_RETURN_IF_ERROR(claimed);
  }
}

// What is worth a curve: the numbers but for those of the axis itself.
EventScalars ScalarsOf(const JsonRow& row) {
  EventScalars scalars;
  for (const auto& [key, value] : row)
    if (key != "step" && key != "epoch" && key != "seconds" && std::holds_alternative<double>(value))
      scalars.emplace_back(key, std::get<double>(value));
  return scalars;
}

int64_t StepOf(const JsonRow& row) {
  for (const auto& [key, value] : row)
    if (key == "step" && std::holds_alternative<int64_t>(value)) return std::get<int64_t>(value);
  return 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RunFolder>> RunFolder::Open(const std::string& path, bool writes) {
  if (!writes) return std::unique_ptr<RunFolder>(new RunFolder(path, -1));
  MF_RETURN_IF_ERROR(MakeDirectories(path));
  MF_ASSIGN_OR_RETURN(const int lock, Lock(JoinPath(path, "lock")));
  std::unique_ptr<RunFolder> folder(new RunFolder(path, lock));
  MF_RETURN_IF_ERROR(RemoveStaleTemporaries(path));
  return folder;
}

RunFolder::~RunFolder() {
  if (!writes()) return;
  unlink(JoinPath(path_, "lock").c_str());
  close(lock_);
}

std::string RunFolder::last() const { return JoinPath(path_, "last.safetensors"); }
std::string RunFolder::best() const { return JoinPath(path_, "best.safetensors"); }
std::string RunFolder::epoch_checkpoint(int64_t epoch) const {
  return JoinPath(path_, absl::StrFormat("ckpt_ep%03d.safetensors", epoch));
}

absl::Status RunFolder::RemoveLast() const {
  if (!writes()) return absl::OkStatus();
  return unlink(last().c_str()) == 0 || errno == ENOENT ? absl::OkStatus() : ErrnoError(last());
}

absl::Status RunFolder::KeepLastCheckpoints(int64_t count) const {
  if (!writes()) return absl::OkStatus();
  constexpr absl::string_view kPrefix = "ckpt_ep", kSuffix = ".safetensors";
  std::vector<std::pair<int64_t, std::string>> found;
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(path_));
  for (const std::string& name : names) {
    absl::string_view number = name;
    int64_t epoch = 0;
    if (absl::ConsumePrefix(&number, kPrefix) && absl::ConsumeSuffix(&number, kSuffix) &&
        absl::SimpleAtoi(number, &epoch))
      found.emplace_back(epoch, name);
  }
  std::sort(found.begin(), found.end());
  for (size_t i = 0; i + static_cast<size_t>(count) < found.size(); ++i) {
    const std::string path = JoinPath(path_, found[i].second);
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoError(path);
  }
  return absl::OkStatus();
}

absl::Status RunFolder::WriteConfig(const google::protobuf::Message& config) const {
  if (!writes()) return absl::OkStatus();
  const std::unique_ptr<google::protobuf::Message> effective(config.New());
  effective->CopyFrom(config);
  FillDefaults(effective.get());
  std::string text;
  google::protobuf::TextFormat::PrintToString(*effective, &text);
  return WriteFileAtomically(JoinPath(path_, "config.textproto"), text);
}

absl::Status RunFolder::WriteRecord(const google::protobuf::Message& result) const {
  if (!writes()) return absl::OkStatus();
  return WriteFileAtomically(JoinPath(path_, "record.binpb"), result.SerializeAsString());
}

void RunFolder::StartEvents(int64_t step) { events_.emplace(path_, step + 1); }

absl::Status RunFolder::AppendLog(const JsonRow& row) {
  if (!writes()) return absl::OkStatus();
  MF_RETURN_IF_ERROR(AppendJsonLine(JoinPath(path_, "log.jsonl"), row));
  return AppendEvent(StepOf(row), ScalarsOf(row));
}

absl::Status RunFolder::AppendEvent(int64_t step, const EventScalars& scalars) {
  return writes() && events_ ? events_->Add(step, scalars) : absl::OkStatus();
}

absl::Status RunFolder::TruncateLog(int64_t step) const {
  if (!writes()) return absl::OkStatus();
  const std::string log = JoinPath(path_, "log.jsonl");
  if (!FileExists(log)) return absl::OkStatus();
  MF_ASSIGN_OR_RETURN(const std::vector<JsonRow> rows, ReadJsonLines(log));
  size_t keep = 0;
  while (keep < rows.size() && StepOf(rows[keep]) <= step) ++keep;
  MF_ASSIGN_OR_RETURN(const std::string text, ReadFile(log));
  size_t end = 0;
  for (size_t line = 0; line < keep; ++line) end = text.find('\n', end) + 1;
  return end == text.size() ? absl::OkStatus() : WriteFileAtomically(log, {text.data(), end});
}

absl::Status RunFolder::WriteStatus(RunStatus status) {
  if (!writes()) return absl::OkStatus();
  const auto now = std::chrono::steady_clock::now();
  if (status.state() == "running" && now - status_written_ < kStatusPeriod) return absl::OkStatus();
  status_written_ = now;
  status.set_host(HostName());
  status.set_pid(getpid());
  std::string text;
  google::protobuf::TextFormat::PrintToString(status, &text);
  return WriteFileAtomically(JoinPath(path_, "status.textproto"), text);
}

absl::Status RunFolder::Conclude(RunStatus status, const absl::Status& outcome,
                                 const google::protobuf::Message& result) {
  absl::Status concluded = outcome;
  if (concluded.ok()) concluded = WriteRecord(result);
  status.set_state(concluded.ok() ? "done" : "failed");
  if (!concluded.ok()) status.set_error(std::string(concluded.message()));
  const absl::Status written = WriteStatus(std::move(status));
  return concluded.ok() ? written : concluded;
}

}  // namespace manyform

#include "base/event_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/crc32c.h"
#include "base/files.h"
#include "base/status_macros.h"
#include "proto/tensorboard_event.pb.h"

namespace manyform {
namespace {

constexpr absl::string_view kPrefix = "events.out.tfevents.";

template <class T>
void AppendLittleEndian(T value, std::string* out) {
  for (size_t byte = 0; byte < sizeof(T); ++byte) out->push_back(static_cast<char>(value >> (8 * byte)));
}

// A checksum that is stored next to what it is of would make checksums of files misleading.
uint32_t Masked(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

TensorboardEvent EventNow() {
  TensorboardEvent event;
  event.set_wall_time(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
  return event;
}

// The present second, or one more than the latest file's.
absl::StatusOr<int64_t> NextSecond(const std::string& folder) {
  int64_t next = absl::ToUnixSeconds(absl::Now());
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(folder));
  for (const std::string& name : names) {
    absl::string_view rest = name;
    int64_t second = 0;
    if (absl::ConsumePrefix(&rest, kPrefix) && absl::SimpleAtoi(rest.substr(0, rest.find('.')), &second))
      next = std::max(next, second + 1);
  }
  return next;
}

}  // namespace

std::string EventRecord(std::string_view bytes) {
  std::string record;
  AppendLittleEndian<uint64_t>(bytes.size(), &record);
  AppendLittleEndian(Masked(Crc32c(record)), &record);
  record.append(bytes);
  AppendLittleEndian(Masked(Crc32c(bytes)), &record);
  return record;
}

absl::Status EventFileWriter::Append(std::string_view bytes) const {
  const int fd = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  const absl::Cleanup close_file = [fd] { close(fd); };
  if (fd >= 0 && write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()))
    return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(path_, ": cannot append an event: ", strerror(errno)));
}

absl::Status EventFileWriter::Begin() {
  MF_ASSIGN_OR_RETURN(const int64_t second, NextSecond(folder_));
  char host[256] = "unknown";
  (void)gethostname(host, sizeof(host) - 1);
  path_ = JoinPath(folder_, absl::StrFormat("%s%010d.%s.%d", kPrefix, second, host, getpid()));
  TensorboardEvent version = EventNow(), start = EventNow();
  version.set_file_version("brain.Event:2");
  start.set_step(first_step_);
  start.mutable_session_log()->set_status(EventSession::START);
  return Append(EventRecord(version.SerializeAsString()) + EventRecord(start.SerializeAsString()));
}

absl::Status EventFileWriter::Add(int64_t step, const EventScalars& scalars) {
  if (path_.empty()) MF_RETURN_IF_ERROR(Begin());
  TensorboardEvent event = EventNow();
  event.set_step(step);
  for (const auto& [tag, value] : scalars) {
    EventScalar& scalar = *event.mutable_summary()->add_value();
    scalar.set_tag(tag);
    scalar.set_simple_value(static_cast<float>(value));
  }
  return Append(EventRecord(event.SerializeAsString()));
}

}  // namespace manyform

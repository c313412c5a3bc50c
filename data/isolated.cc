#include "data/isolated.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"

namespace manyform {
namespace {

using Clock = std::chrono::steady_clock;

// The address space this process has; 0 if it cannot be known.
uint64_t AddressSpace() {
  FILE* const file = fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  unsigned long pages = 0;  // NOLINT(google-runtime-int): what %lu reads
  // NOLINTNEXTLINE(bugprone-unchecked-string-to-number-conversion): the kernel writes numbers that fit.
  const bool read = fscanf(file, "%lu", &pages) == 1;
  fclose(file);
  return read ? uint64_t{pages} * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

absl::StatusOr<std::string> Catching(const std::function<absl::StatusOr<std::string>()>& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return absl::InvalidArgumentError("needs more memory than it may have");
  } catch (const std::exception& e) {
    return absl::InvalidArgumentError(e.what());
  } catch (...) {
    return absl::InvalidArgumentError("an exception of unknown type");
  }
}

void WriteAll(int fd, const void* data, size_t size) {
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t put = write(fd, next, size);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) _exit(1);
    next += put;
    size -= static_cast<size_t>(put);
  }
}

// Status code, size, bytes.
[[noreturn]] void RunChild(const std::function<absl::StatusOr<std::string>()>& work, uint64_t address_space,
                           int fd) {
  if (address_space > 0) {
    const rlimit limit = {address_space, address_space};
    setrlimit(RLIMIT_AS, &limit);
  }
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  // A crash is the parent's to report, in one line: no handler of a library or sanitizer does so.
  for (const int signal_number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) signal(signal_number, SIG_DFL);
  const absl::StatusOr<std::string> result = Catching(work);
  const int code = result.status().raw_code();
  const std::string bytes = result.ok() ? *result : std::string(result.status().message());
  const uint64_t size = bytes.size();
  WriteAll(fd, &code, sizeof(code));
  WriteAll(fd, &size, sizeof(size));
  WriteAll(fd, bytes.data(), bytes.size());
  _exit(0);
}

// Reads until the end or the deadline; false at the deadline.
bool ReadUntil(int fd, Clock::time_point deadline, std::string* bytes) {
  char buffer[1 << 16];
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd ready = {fd, POLLIN, 0};
    if (poll(&ready, 1, static_cast<int>(std::min<int64_t>(left + 1, 1000))) <= 0) continue;
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;
    bytes->append(buffer, static_cast<size_t>(got));
  }
}

absl::StatusOr<std::string> Decode(const std::string& bytes, int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    return absl::InvalidArgumentError(absl::StrCat("crashed (", strsignal(WTERMSIG(wait_status)), ")"));
  }
  int code = 0;
  uint64_t size = 0;
  constexpr size_t kHeader = sizeof(code) + sizeof(size);
  if (bytes.size() >= kHeader) {
    memcpy(&code, bytes.data(), sizeof(code));
    memcpy(&size, bytes.data() + sizeof(code), sizeof(size));
  }
  if (bytes.size() < kHeader || bytes.size() - kHeader != size) {
    return absl::InvalidArgumentError("ended without a result");
  }
  std::string content = bytes.substr(kHeader);
  if (code == 0) return content;
  return absl::Status(static_cast<absl::StatusCode>(code), content);
}

}  // namespace

absl::StatusOr<std::string> RunIsolated(const std::function<absl::StatusOr<std::string>()>& work,
                                        const IsolationLimits& limits) {
  const uint64_t now = AddressSpace();
  int pipe_ends[2];
  pid_t child = -1;
  {
    // No other child may inherit the writing end: it would keep the pipe from ending.
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    if (pipe(pipe_ends) != 0) return absl::InternalError(absl::StrCat("pipe: ", strerror(errno)));
    child = fork();
    if (child == 0) {
      close(pipe_ends[0]);
      RunChild(work, now == 0 ? 0 : now + limits.bytes, pipe_ends[1]);
    }
    close(pipe_ends[1]);
  }
  if (child < 0) {
    close(pipe_ends[0]);
    return absl::InternalError(absl::StrCat("fork: ", strerror(errno)));
  }
  std::string bytes;
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                           std::chrono::duration<double>(limits.seconds));
  const bool in_time = ReadUntil(pipe_ends[0], deadline, &bytes);
  close(pipe_ends[0]);
  if (!in_time) kill(child, SIGKILL);
  int wait_status = 0;
  while (waitpid(child, &wait_status, 0) < 0 && errno == EINTR) {
  }
  if (!in_time) {
    return absl::InvalidArgumentError(absl::StrCat("not done after ", HumanDuration(limits.seconds)));
  }
  return Decode(bytes, wait_status);
}

}  // namespace manyform

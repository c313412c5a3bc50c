#include "data/build_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

bool HasNoLocks(int error) { return error == ENOLCK || error == ENOSYS || error == EOPNOTSUPP; }

// False once the file was removed, or replaced, by whoever held it before.
bool IsStillNamed(int fd, const std::string& path) {
  struct stat open_file, named;
  return fstat(fd, &open_file) == 0 && stat(path.c_str(), &named) == 0 && open_file.st_dev == named.st_dev &&
         open_file.st_ino == named.st_ino;
}

}  // namespace

absl::StatusOr<int> OpenLocked(const std::string& path, bool shared) {
  while (true) {
    MF_RETURN_IF_ERROR(MakeDirectories(FolderOf(path)));
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
      // The folder goes with the last file in it.
      if (errno == ENOENT) continue;
      const int error = errno;
      const std::string text = absl::StrCat(path, ": cannot open: ", strerror(error));
      if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(text);
      if (error == EACCES || error == EPERM || error == EROFS) return absl::PermissionDeniedError(text);
      return absl::InternalError(text);
    }
    if (flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0) {
      if (IsStillNamed(fd, path)) return fd;
      close(fd);
      continue;
    }
    const int error = errno;
    if (HasNoLocks(error)) {
      LogLine(absl::StrCat(path, ": this file system has no locks: nothing keeps other builds away"));
      return fd;
    }
    close(fd);
    if (error == EINTR) continue;
    if (error != EWOULDBLOCK)
      return absl::InternalError(absl::StrCat(path, ": cannot lock: ", strerror(error)));
    return absl::FailedPreconditionError(absl::StrCat(path, ": another build of this cache is running"));
  }
}

void RemoveLocked(const std::string& path) {
  unlink(path.c_str());
  rmdir(FolderOf(path).c_str());
}

absl::StatusOr<std::unique_ptr<BuildLock>> BuildLock::Take(const std::string& out_root, Kind kind) {
  const std::string path = JoinPath(out_root, "_meta/build.lock");
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (true) {
    const absl::StatusOr<int> fd = OpenLocked(path, kind == kShared);
    if (fd.ok()) return std::unique_ptr<BuildLock>(new BuildLock(path, *fd));
    if (!absl::IsFailedPrecondition(fd.status()) || std::chrono::steady_clock::now() > end)
      return fd.status();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

BuildLock::~BuildLock() {
  if (flock(fd_, LOCK_EX | LOCK_NB) == 0) RemoveLocked(path_);
  close(fd_);
}

}  // namespace manyform

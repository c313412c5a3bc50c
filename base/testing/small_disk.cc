#include "base/testing/small_disk.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace manyform {
namespace {

absl::Status MountTmpfs(const std::string& folder, unsigned long flags, const std::string& options) {
  if (mount("none", folder.c_str(), "tmpfs", flags, options.c_str()) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("mounting a tmpfs at ", folder));
}

absl::Status WriteOnce(const char* path, const std::string& text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  const bool written = fd >= 0 && write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const absl::Status status = written ? absl::OkStatus() : absl::ErrnoToStatus(errno, path);
  if (fd >= 0) close(fd);
  return status;
}

// Where this process may mount. Its user and group are what they were.
absl::Status EnterNamespace() {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
    return absl::ErrnoToStatus(errno, "entering a user and mount namespace");
  }
  // An unprivileged process may map its group only without the right to change groups.
  for (const auto& [path, text] : {std::pair("/proc/self/setgroups", std::string("deny")),
                                   std::pair("/proc/self/uid_map", absl::StrCat(user, " ", user, " 1")),
                                   std::pair("/proc/self/gid_map", absl::StrCat(group, " ", group, " 1"))}) {
    if (absl::Status status = WriteOnce(path, text); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<SmallDisk>> SmallDisk::Mount(const std::string& folder,
                                                            absl::string_view size) {
  const std::string options = absl::StrCat("size=", size, ",mode=777");
  absl::Status status = MountTmpfs(folder, 0, options);
  if (!status.ok()) {
    const absl::Status entered = EnterNamespace();
    const absl::Status again = entered.ok() ? MountTmpfs(folder, 0, options) : entered;
    if (!again.ok()) {
      return absl::PermissionDeniedError(absl::StrCat(status.message(), "; ", again.message()));
    }
  }
  return std::unique_ptr<SmallDisk>(new SmallDisk(folder));
}

SmallDisk::~SmallDisk() { umount2(folder_.c_str(), MNT_DETACH); }

absl::Status SmallDisk::Resize(absl::string_view size) {
  return MountTmpfs(folder_, MS_REMOUNT, absl::StrCat("size=", size));
}

absl::Status SmallDisk::MakeReadOnly() { return MountTmpfs(folder_, MS_REMOUNT | MS_RDONLY, ""); }

}  // namespace manyform

#include "base/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "base/string_views.h"

namespace manyform {
namespace {

constexpr absl::string_view kTemporaryMark = ".tmp.";

absl::Status ErrnoStatus(int error, const std::string& path, absl::string_view what) {
  const std::string text = absl::StrCat(path, ": ", what, ": ", strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(text);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(text);
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::InternalError(text);
  }
}

absl::StatusOr<int> OpenForReading(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, path, "cannot open");
  return fd;
}

std::string Parent(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string TemporaryName(const std::string& path, int attempt_of_process) {
  // A file name may have 255 bytes; the rest of the temporary name needs some of them.
  const std::string name = path.substr(path.rfind('/') + 1).substr(0, 200);
  const std::string prefix = path.substr(0, path.rfind('/') + 1);
  return absl::StrCat(prefix, ".", name, kTemporaryMark, getpid(), ".", attempt_of_process);
}

// The process of `.<name>.tmp.<pid>.<n>`; 0 for any other name.
pid_t ProcessOfTemporary(absl::string_view name) {
  const size_t mark = name.rfind(kTemporaryMark);
  if (name.empty() || name[0] != '.' || mark == absl::string_view::npos || mark == 0) return 0;
  const std::vector<absl::string_view> parts = absl::StrSplit(name.substr(mark + kTemporaryMark.size()), '.');
  int32_t pid = 0, count = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &pid) || !absl::SimpleAtoi(parts[1], &count)) return 0;
  return std::max(pid, 0);
}

// What matches a pattern, component by component.
class Globber {
 public:
  Globber(std::vector<std::string> components, std::vector<std::string>* found)
      : components_(std::move(components)), found_(found) {}

  // Adds what the components from `next` on match below `folder`.
  absl::Status Below(const std::string& folder, size_t next) {
    const std::string& component = components_[next];
    if (component == kAnyFolders) return BelowAnyFolders(folder, next);
    const bool last = next + 1 == components_.size();
    std::vector<std::string> names;
    struct stat info;
    if (component.find_first_of("*?[") == std::string::npos) {
      if (lstat(JoinPath(folder, component).c_str(), &info) == 0) names.push_back(component);
    } else {
      MF_ASSIGN_OR_RETURN(names, Matches(folder, component));
    }
    for (const std::string& name : names) {
      const std::string path = JoinPath(folder, name);
      if (last) {
        found_->push_back(path);
      } else if (IsFolder(path, &info)) {
        MF_RETURN_IF_ERROR(Below(path, next + 1));
      }
    }
    return absl::OkStatus();
  }

  static constexpr absl::string_view kAnyFolders = "**";

 private:
  static bool IsFolder(const std::string& path, struct stat* info) {
    return stat(path.c_str(), info) == 0 && S_ISDIR(info->st_mode);
  }

  static absl::StatusOr<std::vector<std::string>> Matches(const std::string& folder,
                                                          const std::string& component) {
    absl::StatusOr<std::vector<std::string>> names = ListDirectory(folder.empty() ? "." : folder);
    if (absl::IsNotFound(names.status())) return std::vector<std::string>();
    MF_RETURN_IF_ERROR(names.status());
    std::erase_if(*names, [&](const std::string& name) {
      return fnmatch(component.c_str(), name.c_str(), FNM_PERIOD | FNM_NOESCAPE) != 0;
    });
    return names;
  }

  absl::Status BelowAnyFolders(const std::string& folder, size_t next) {
    struct stat info;
    if (!IsFolder(folder.empty() ? "." : folder, &info)) return absl::OkStatus();
    const std::pair<dev_t, ino_t> identity(info.st_dev, info.st_ino);
    // A link to a folder above would lead down for ever.
    if (std::find(above_.begin(), above_.end(), identity) != above_.end()) return absl::OkStatus();
    const bool last = next + 1 == components_.size();
    if (!last) MF_RETURN_IF_ERROR(Below(folder, next + 1));
    MF_ASSIGN_OR_RETURN(const std::vector<std::string> names, Matches(folder, "*"));
    above_.push_back(identity);
    for (const std::string& name : names) {
      const std::string path = JoinPath(folder, name);
      if (last) found_->push_back(path);
      MF_RETURN_IF_ERROR(BelowAnyFolders(path, next));
    }
    above_.pop_back();
    return absl::OkStatus();
  }

  const std::vector<std::string> components_;
  std::vector<std::string>* const found_;
  std::vector<std::pair<dev_t, ino_t>> above_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path) {
  MF_ASSIGN_OR_RETURN(const int fd, OpenForReading(path));
  const auto close_fd = absl::MakeCleanup([fd] { close(fd); });
  struct stat info;
  if (fstat(fd, &info) != 0) return ErrnoStatus(errno, path, "cannot stat");
  if (S_ISDIR(info.st_mode)) return ErrnoStatus(EISDIR, path, "cannot map");
  if (!S_ISREG(info.st_mode)) return absl::InternalError(absl::StrCat(path, ": not a regular file"));
  const size_t size = static_cast<size_t>(info.st_size);
  if (size == 0) return std::shared_ptr<const MappedFile>(new MappedFile(nullptr, 0));
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return ErrnoStatus(errno, path, "cannot map");
  return std::shared_ptr<const MappedFile>(new MappedFile(data, size));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(data_, size_);
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  MF_ASSIGN_OR_RETURN(const int fd, OpenForReading(path));
  const auto close_fd = absl::MakeCleanup([fd] { close(fd); });
  struct stat info;
  if (fstat(fd, &info) != 0) return ErrnoStatus(errno, path, "cannot stat");
  // One byte more than the file has, so that its end is seen without growing; pipes grow.
  std::string bytes(S_ISREG(info.st_mode) ? static_cast<size_t>(info.st_size) + 1 : 1 << 16, '\0');
  size_t used = 0;
  while (true) {
    if (used == bytes.size()) bytes.resize(bytes.size() * 2);
    const ssize_t got = read(fd, bytes.data() + used, bytes.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, path, "cannot read");
    if (got == 0) break;
    used += static_cast<size_t>(got);
  }
  bytes.resize(used);
  return bytes;
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view bytes) {
  MF_ASSIGN_OR_RETURN(AtomicFileWriter writer, AtomicFileWriter::Create(path));
  MF_RETURN_IF_ERROR(writer.Append(bytes));
  return writer.Commit();
}

AtomicFileWriter::AtomicFileWriter(std::string path, std::string temporary, int fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {}

AtomicFileWriter::AtomicFileWriter(AtomicFileWriter&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      fd_(std::exchange(other.fd_, -1)),
      written_(other.written_) {}

AtomicFileWriter::~AtomicFileWriter() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

absl::StatusOr<AtomicFileWriter> AtomicFileWriter::Create(const std::string& path) {
  static std::atomic<int> count = 0;
  if (path.empty() || path.back() == '/') {
    return absl::InvalidArgumentError(absl::StrCat("\"", path, "\" does not name a file"));
  }
  struct stat info;
  // Found out now rather than by the rename, after all the work.
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return ErrnoStatus(EISDIR, path, "cannot write");
  }
  MF_RETURN_IF_ERROR(MakeDirectories(Parent(path)));
  while (true) {
    std::string temporary = TemporaryName(path, count++);
    const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) return AtomicFileWriter(path, std::move(temporary), fd);
    if (errno != EEXIST) return ErrnoStatus(errno, path, "cannot create");
  }
}

absl::Status AtomicFileWriter::Append(const void* data, size_t size) {
  if (fd_ < 0) return absl::FailedPreconditionError(absl::StrCat(path_, ": Append after Commit"));
  const char* next = static_cast<const char*>(data);
  size_t left = size;
  while (left > 0) {
    const ssize_t put = write(fd_, next, left);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      return ErrnoStatus(errno, path_,
                         absl::StrCat("cannot write ", size, " bytes after the first ", written_));
    }
    next += put;
    left -= static_cast<size_t>(put);
  }
  written_ += size;
  return absl::OkStatus();
}

absl::Status AtomicFileWriter::Commit() {
  if (fd_ < 0) return absl::FailedPreconditionError(absl::StrCat(path_, ": Commit after Commit"));
  int error = close(std::exchange(fd_, -1)) == 0 ? 0 : errno;
  if (error == 0 && rename(temporary_.c_str(), path_.c_str()) == 0) return absl::OkStatus();
  if (error == 0) error = errno;
  unlink(temporary_.c_str());
  return ErrnoStatus(error, path_, absl::StrCat("cannot finish a file of ", written_, " bytes"));
}

absl::Status RemoveStaleTemporaries(const std::string& folder) {
  absl::StatusOr<std::vector<std::string>> names = ListDirectory(folder);
  if (absl::IsNotFound(names.status())) return absl::OkStatus();
  MF_RETURN_IF_ERROR(names.status());
  for (const std::string& name : *names) {
    const pid_t pid = ProcessOfTemporary(name);
    if (pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH) continue;
    const std::string path = JoinPath(folder, name);
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, path, "cannot remove");
  }
  return absl::OkStatus();
}

absl::Status MakeDirectories(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    struct stat info;
    if (!part.empty() && mkdir(part.c_str(), 0777) != 0) {
      const int error = errno;
      // An existing part may lie where this process could not have made it (EROFS, EACCES).
      if (stat(part.c_str(), &info) != 0) return ErrnoStatus(error, part, "cannot make folder");
      if (!S_ISDIR(info.st_mode)) return ErrnoStatus(ENOTDIR, part, "cannot make folder");
    }
    if (end == std::string::npos) return absl::OkStatus();
  }
}

bool FileExists(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0;
}

absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path) {
  std::string existing = path.empty() ? "." : path;
  struct statvfs info;
  while (statvfs(existing.c_str(), &info) != 0) {
    if ((errno != ENOENT && errno != ENOTDIR) || existing == "/" || existing == ".") {
      return ErrnoStatus(errno, path, "cannot ask for free space");
    }
    while (existing.size() > 1 && existing.back() == '/') existing.pop_back();
    existing = Parent(existing);
  }
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

absl::StatusOr<std::vector<std::string>> Glob(const std::string& root, const std::string& pattern) {
  const std::vector<std::string> components = absl::StrSplit(pattern, '/', absl::SkipEmpty());
  if (components.empty()) return absl::InvalidArgumentError("empty pattern");
  for (const std::string& component : components) {
    if (component == Globber::kAnyFolders || component.find("**") == std::string::npos) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("pattern \"", pattern, "\": ** stands for folders and must be a component of its own"));
  }
  std::vector<std::string> found;
  MF_RETURN_IF_ERROR(Globber(components, &found).Below(root, 0));
  std::sort(found.begin(), found.end());
  // Several ** find a path in several ways.
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path) {
  DIR* folder = opendir(path.c_str());
  if (folder == nullptr) return ErrnoStatus(errno, path, "cannot list");
  const auto close_folder = absl::MakeCleanup([folder] { closedir(folder); });
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(folder)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return ErrnoStatus(errno, path, "cannot list");
  std::sort(names.begin(), names.end());
  return names;
}

std::string JoinPath(std::string_view a, std::string_view b) {
  if (a.empty()) return std::string(b);
  while (!b.empty() && b.front() == '/') b.remove_prefix(1);
  if (b.empty()) return std::string(a);
  return absl::StrCat(ToAbsl(a), a.back() == '/' ? "" : "/", ToAbsl(b));
}

}  // namespace manyform

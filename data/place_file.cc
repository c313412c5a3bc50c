#include "data/place_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/status_macros.h"
#include "base/string_views.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;

// As AtomicFileWriter names them, so that RemoveStaleTemporaries finds those of killed runs.
std::string TemporaryName(const std::string& to) {
  static std::atomic<int> count = 0;
  const fs::path path(to);
  return path.parent_path() /
         absl::StrCat(".", path.filename().string(), ".tmp.", getpid(), ".", count.fetch_add(1));
}

absl::Status Failure(int error, const std::string& from, const std::string& to) {
  return absl::ErrnoToStatus(error, absl::StrCat(to, ": cannot link to ", from));
}

// The path from the folder of `to` to `from`. Both folders are made free of links first: ".." leads to where
// a folder really is.
absl::StatusOr<std::string> RelativePath(const std::string& from, const std::string& to) {
  std::error_code error;
  const fs::path source = fs::canonical(fs::absolute(from).parent_path(), error);
  if (error) return Failure(error.value(), from, to);
  const fs::path target = fs::canonical(fs::absolute(to).parent_path(), error);
  if (error) return Failure(error.value(), from, to);
  return (source / fs::path(from).filename()).lexically_relative(target).string();
}

absl::Status Link(const std::string& from, const std::string& to, LinkMode mode) {
  const std::string temporary = TemporaryName(to);
  unlink(temporary.c_str());
  int failed;
  if (mode == LinkMode::kSymlink) {
    MF_ASSIGN_OR_RETURN(const std::string target, RelativePath(from, to));
    failed = symlink(target.c_str(), temporary.c_str());
  } else {
    failed = linkat(AT_FDCWD, from.c_str(), AT_FDCWD, temporary.c_str(), AT_SYMLINK_FOLLOW);
  }
  if (failed == 0) failed = rename(temporary.c_str(), to.c_str());
  const int error = errno;
  // Renaming a link over another link to the same file leaves both.
  unlink(temporary.c_str());
  if (failed == 0) return absl::OkStatus();
  const absl::Status status = Failure(error, from, to);
  if (mode == LinkMode::kSymlink || (error != EXDEV && error != EPERM && error != EMLINK)) return status;
  return absl::FailedPreconditionError(absl::StrCat(status.message(), "; use symbolic links or copies"));
}

absl::Status Copy(const std::string& from, const std::string& to) {
  constexpr size_t kPiece = size_t{8} << 20;
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(from));
  MF_ASSIGN_OR_RETURN(AtomicFileWriter writer, AtomicFileWriter::Create(to));
  for (std::span<const uint8_t> rest = file->bytes(); !rest.empty();) {
    const std::span<const uint8_t> piece = rest.first(std::min(rest.size(), kPiece));
    MF_RETURN_IF_ERROR(writer.Append(piece.data(), piece.size()));
    rest = rest.subspan(piece.size());
  }
  return writer.Commit();
}

}  // namespace

absl::StatusOr<LinkMode> ParseLinkMode(std::string_view name) {
  if (name == "symlink") return LinkMode::kSymlink;
  if (name == "hardlink") return LinkMode::kHardlink;
  if (name == "copy") return LinkMode::kCopy;
  return absl::InvalidArgumentError(
      absl::StrCat("link_mode '", ToAbsl(name), "', expected symlink, hardlink or copy"));
}

absl::Status PlaceFile(const std::string& from, const std::string& to, LinkMode mode) {
  return mode == LinkMode::kCopy ? Copy(from, to) : Link(from, to, mode);
}

}  // namespace manyform

/// \file
/// Whole files in and out: every write is to a temporary name in the same folder, then renamed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace manyform {

/// A read-only memory map. Empty files map to an empty span. Lives as long as the object.
class MappedFile {
 public:
  /// \error NotFound, PermissionDenied, or Internal with the path and errno's text.
  static absl::StatusOr<std::shared_ptr<const MappedFile>> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const uint8_t> bytes() const { return {static_cast<const uint8_t*>(data_), size_}; }

 private:
  MappedFile(void* data, size_t size) : data_(data), size_(size) {}
  void* data_;
  size_t size_;
};

/// \error as MappedFile::Open.
absl::StatusOr<std::string> ReadFile(const std::string& path);

/// Replaces `path` with `bytes`, or leaves it as it was. Missing parent folders are made. Nothing is synced:
/// a killed process leaves the old or the new file, a power cut may lose the new one.
/// \error ResourceExhausted (how many bytes were wanted) when the disk is full, otherwise as errno says; the
/// temporary file is removed.
absl::Status WriteFileAtomically(const std::string& path, std::string_view bytes);

/// The same in pieces, for files too large to hold: Append any number of times (each is one write), then
/// Commit. Without a Commit nothing remains. The temporary file is `.<name>.tmp.<pid>.<n>` in the same
/// folder.
class AtomicFileWriter {
 public:
  static absl::StatusOr<AtomicFileWriter> Create(const std::string& path);
  AtomicFileWriter(AtomicFileWriter&& other) noexcept;
  AtomicFileWriter& operator=(AtomicFileWriter&&) = delete;
  ~AtomicFileWriter();
  absl::Status Append(const void* data, size_t size);
  absl::Status Append(std::string_view bytes) { return Append(bytes.data(), bytes.size()); }
  absl::Status Commit();
  uint64_t written() const { return written_; }

 private:
  AtomicFileWriter(std::string path, std::string temporary, int fd);
  std::string path_, temporary_;
  int fd_;
  uint64_t written_ = 0;
};

/// Removes what killed runs left in a folder: temporary files of AtomicFileWriter whose process is no longer
/// alive on this host. Not for folders that several hosts write to at once. A missing folder is fine.
absl::Status RemoveStaleTemporaries(const std::string& folder);

/// `mkdir -p`. \error as errno says, with the path.
absl::Status MakeDirectories(const std::string& path);
bool FileExists(const std::string& path);
/// Free bytes for an unprivileged user on the file system of `path` or of its nearest existing parent.
absl::StatusOr<uint64_t> FreeDiskBytes(const std::string& path);
/// Paths that match a pattern of `*`, `?` and `[...]` per component below `root`, `root` prefixed as typed,
/// sorted bytewise. The component `**` stands for any number of folders, none too. Links are followed, by
/// `**` unless they lead back up; as in a shell, a leading dot is matched only by a dot. A missing folder has
/// no matches. \error InvalidArgument for `**` within a component; an unreadable folder as errno says.
absl::StatusOr<std::vector<std::string>> Glob(const std::string& root, const std::string& pattern);
/// Names (not paths) in a folder, sorted bytewise, without "." and "..".
absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);
/// Joins with one '/', `a` kept as typed: none is added after an `a` that ends in one, leading ones of `b`
/// are dropped. An empty part adds nothing.
std::string JoinPath(std::string_view a, std::string_view b);

}  // namespace manyform

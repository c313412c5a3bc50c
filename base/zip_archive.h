/// \file
/// Members of zip files of unknown origin.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

struct zip;

namespace manyform {

/// An open zip file. Not thread-safe.
class ZipArchive {
 public:
  /// \error NotFound, or InvalidArgument if it is no zip file; both with the path.
  static absl::StatusOr<ZipArchive> Open(const std::string& path);
  /// The same over a file's bytes, which must outlive it; `name` is what errors call them.
  static absl::StatusOr<ZipArchive> Parse(const std::string& name, std::span<const uint8_t> bytes);
  ZipArchive(ZipArchive&& other) noexcept;
  ZipArchive& operator=(ZipArchive&&) = delete;
  ~ZipArchive();

  /// Of the members, in the directory's order.
  std::vector<std::string> Names() const;
  bool Contains(const std::string& member) const;
  /// The member's bytes; memory grows with what really comes out, whatever the file claims.
  /// \error NotFound; InvalidArgument for a damaged or encrypted member; ResourceExhausted for one that
  /// unpacks to more than `max_bytes`. All with archive and member.
  absl::StatusOr<std::string> Read(const std::string& member, uint64_t max_bytes) const;

 private:
  ZipArchive(std::string path, zip* archive) : path_(std::move(path)), archive_(archive) {}
  std::string path_;
  zip* archive_;
};

}  // namespace manyform

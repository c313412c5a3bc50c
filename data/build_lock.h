/// \file
/// Keeps builds apart that would write to the same folder.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace manyform {

/// Opens `path` for reading and writing, making it and its folder, and locks it: alone, or together with
/// others that share. What was locked is the file that has this name. A file system without locks is
/// mentioned in the log; the descriptor then comes back unlocked.
/// \error FailedPrecondition while another process holds it; otherwise as errno says.
absl::StatusOr<int> OpenLocked(const std::string& path, bool shared);

/// Removes `path`, and its folder if that is empty then, for the holder of a lock on `fd` that it alone has.
void RemoveLocked(const std::string& path);

/// Held while a cache folder is written to: _meta/build.lock. Shards share it; everything else has it alone.
class BuildLock {
 public:
  enum Kind { kAlone, kShared };
  /// Waits a second for those that are about to end. \error FailedPrecondition naming the folder.
  static absl::StatusOr<std::unique_ptr<BuildLock>> Take(const std::string& out_root, Kind kind);
  /// The last holder removes the file.
  ~BuildLock();
  BuildLock(const BuildLock&) = delete;
  BuildLock& operator=(const BuildLock&) = delete;

 private:
  BuildLock(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  const std::string path_;
  const int fd_;
};

}  // namespace manyform

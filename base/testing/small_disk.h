/// \file
/// A disk of its own for a test: small enough to fill, or not to be written.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace manyform {

/// A tmpfs, unmounted at the end. A process that may not mount enters a user and mount namespace of its own
/// first and stays there, with the same user; programs that it starts from then on see the disk, others do
/// not.
class SmallDisk {
 public:
  /// Mounts at `folder`, which exists, with room for `size` bytes; suffixes k and m as mount takes them.
  /// \error PermissionDenied, with both refusals, where neither way is open (threads close the second): tests
  /// skip then.
  static absl::StatusOr<std::unique_ptr<SmallDisk>> Mount(const std::string& folder, absl::string_view size);
  ~SmallDisk();
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  absl::Status Resize(absl::string_view size);
  absl::Status MakeReadOnly();

 private:
  explicit SmallDisk(std::string folder) : folder_(std::move(folder)) {}
  const std::string folder_;
};

}  // namespace manyform

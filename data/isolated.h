/// \file
/// Work that may crash, hang or eat all memory, done by a child process.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace manyform {

struct IsolationLimits {
  double seconds = 60;
  /// Address space beyond what the process has already.
  uint64_t bytes = uint64_t{8} << 30;
};

/// What `work` returns, from a fork of this process that ends with it: whatever it does otherwise is lost,
/// and it must not wait for threads, of which the child has none but itself. Thread-safe. \error its own
/// (code and message); InvalidArgument if it crashes or exceeds a limit, and how; Internal if no child can be
/// made.
absl::StatusOr<std::string> RunIsolated(const std::function<absl::StatusOr<std::string>()>& work,
                                        const IsolationLimits& limits = {});

}  // namespace manyform

/// \file
/// Parallel loops whose result cannot depend on the number of threads.
#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/status.h"

namespace manyform {

/// `requested` if positive, else the machine's cores (as the process may use them).
int ResolveThreads(int requested);

/// Calls fn(i) for i in [0, n), each once, on up to `num_threads` threads (0: all cores). Indices are handed
/// out in increasing order; what fn writes must be owned by i. After the first failure, or a cancellation by
/// Ctrl-C (base/interrupt.h), no new index starts. `num_threads` = 1 runs on the caller.
/// \returns the error of the smallest failed index; Cancelled after an interrupt.
absl::Status ParallelFor(int64_t n, int num_threads, const std::function<absl::Status(int64_t)>& fn);

}  // namespace manyform

/// \file
/// One random stream that runs through all scans of a split, for workers that take scans one by one.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "absl/status/statusor.h"
#include "base/numpy_random.h"
#include "data/scan_arrays.h"

namespace manyform {

/// Scan i's draws come after those of scans 0 to i - 1, made or not, so that a resumed or divided build draws
/// what a whole one does. Any order of calls is right; increasing order (a few threads that overtake one
/// another included) draws each scan once. Thread-safe.
class ScanStream {
 public:
  /// `num_points`: of each scan.
  ScanStream(uint32_t seed, std::vector<int64_t> num_points, const ScanPoolOptions& options);
  /// \error as DrawScan. \pre 0 <= scan < number of scans
  absl::StatusOr<ScanDraws> Draws(int64_t scan);

 private:
  void Keep();

  const std::vector<int64_t> num_points_;
  const ScanPoolOptions options_;
  std::mutex mutex_;
  NumpyRandomState random_;  // before scan next_
  int64_t next_ = 0;
  std::map<int64_t, NumpyRandomState> before_;  // some scans that were passed
  std::deque<int64_t> recent_;                  // those of before_ that may go
};

}  // namespace manyform

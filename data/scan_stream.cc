#include "data/scan_stream.h"

#include <iterator>
#include <optional>
#include <utility>

#include "base/status_macros.h"

namespace manyform {
namespace {

// A state has 2.5 KB: every so many are kept for good, and the last ones for threads that were overtaken.
constexpr int64_t kStride = 128;
constexpr size_t kRecent = 512;

}  // namespace

ScanStream::ScanStream(uint32_t seed, std::vector<int64_t> num_points, const ScanPoolOptions& options)
    : num_points_(std::move(num_points)), options_(options), random_(seed) {}

void ScanStream::Keep() {
  before_.insert_or_assign(next_, random_);
  if (next_ % kStride == 0) return;
  recent_.push_back(next_);
  if (recent_.size() <= kRecent) return;
  before_.erase(recent_.front());
  recent_.pop_front();
}

absl::StatusOr<ScanDraws> ScanStream::Draws(int64_t scan) {
  std::optional<std::pair<int64_t, NumpyRandomState>> start;
  {
    const std::lock_guard lock(mutex_);
    if (scan < next_) {
      start = *std::prev(before_.upper_bound(scan));
    } else {
      for (; next_ < scan; ++next_) {
        Keep();
        MF_RETURN_IF_ERROR(DrawScan(num_points_[next_], options_, random_).status());
      }
      if (scan % kStride == 0) Keep();
      ++next_;
      return DrawScan(num_points_[scan], options_, random_);
    }
  }
  auto [at, random] = *std::move(start);
  for (; at < scan; ++at) MF_RETURN_IF_ERROR(DrawScan(num_points_[at], options_, random).status());
  return DrawScan(num_points_[scan], options_, random);
}

}  // namespace manyform

#include "train/batch_share.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/status_macros.h"

namespace manyform {
namespace {

// Types need the lower bits of a byte.
constexpr int64_t kHitBit = 128;

}  // namespace

absl::StatusOr<WholeBatch> GatherBatch(const at::Tensor& type_id, const at::Tensor& hit,
                                       const BatchPart& part, ProcessGroup* group) {
  if (group->alone()) return WholeBatch{type_id.cpu(), hit};
  const at::Tensor all = at::zeros({part.size, type_id.size(1)}, at::kByte);
  const at::Tensor own = hit.defined() ? type_id + kHitBit * hit : type_id;
  all.narrow(0, part.first, type_id.size(0)).copy_(own);
  MF_RETURN_IF_ERROR(group->AllReduceSum(all));
  return WholeBatch{all.remainder(kHitBit).to(at::kLong), hit.defined() ? all.ge(kHitBit) : hit};
}

absl::StatusOr<std::vector<int64_t>> TotalsOf(const std::vector<int64_t>& counts, ProcessGroup* group) {
  if (group->alone()) return counts;
  std::vector<double> sums(counts.begin(), counts.end());
  MF_RETURN_IF_ERROR(group->AllReduceSum(sums));
  return std::vector<int64_t>(sums.begin(), sums.end());
}

int64_t MicroBatch(int64_t size, int64_t length, int64_t micro_batch, c10::Device device) {
  int64_t parts = 1;
  if (micro_batch > 0) {
    parts = (size + micro_batch - 1) / micro_batch;
  } else if (device.is_cpu()) {
    parts = std::clamp<int64_t>((size * length + kTokensAtOnce / 2) / kTokensAtOnce, 1, size);
  }
  return (size + parts - 1) / parts;
}

}  // namespace manyform

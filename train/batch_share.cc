#include "train/batch_share.h"

#include <ATen/ATen.h>

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

absl::StatusOr<std::vector<double>> SharesOf(const std::vector<int64_t>& counts, ProcessGroup* group) {
  std::vector<double> shares(counts.size(), 1);
  if (group->alone()) return shares;
  std::vector<double> sums(counts.begin(), counts.end());
  MF_RETURN_IF_ERROR(group->AllReduceSum(sums));
  for (size_t i = 0; i < counts.size(); ++i)
    if (sums[i] > 0) shares[i] = static_cast<double>(counts[i]) / sums[i];
  return shares;
}

}  // namespace manyform

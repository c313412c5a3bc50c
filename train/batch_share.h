/// \file
/// A batch that is computed in parts, by several processes or one after another: what concerns all of it.
///
/// Losses are means. A part takes the mean over what it has, times its share of what there is: summed over
/// the parts, values and gradients are those of the mean over the whole batch.
#pragma once

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "c10/core/Device.h"
#include "train/process_group.h"

namespace manyform {

/// Which of a batch's sequences a process has: those from `first` on, of `size`.
struct BatchPart {
  int64_t first = 0, size = 0;
};

/// Of all sequences of a batch.
struct WholeBatch {
  at::Tensor type_id;  ///< (B,T) i64 on the CPU
  at::Tensor hit;      ///< (B,T) bool
};

/// Puts together what each process has: type_id (n,T) i64 and hit (n,T) bool, which may be undefined and then
/// stays so. \error as ProcessGroup.
absl::StatusOr<WholeBatch> GatherBatch(const at::Tensor& type_id, const at::Tensor& hit,
                                       const BatchPart& part, ProcessGroup* group);

/// Each count's sum over all processes.
absl::StatusOr<std::vector<int64_t>> TotalsOf(const std::vector<int64_t>& counts, ProcessGroup* group);

inline constexpr int64_t kTokensAtOnce = 8192;
/// How to cut `size` sequences of `length` tokens into parts of at most `micro_batch`, of even sizes: how
/// many each has but for the last, which may have fewer. 0: on a CPU parts of about kTokensAtOnce tokens,
/// else one. \pre size > 0
int64_t MicroBatch(int64_t size, int64_t length, int64_t micro_batch, c10::Device device);

}  // namespace manyform

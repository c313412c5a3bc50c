/// \file
/// A batch whose sequences are spread over processes: what all of them decide together.
///
/// Losses are means. Each process takes the mean over what it has, times its share of what there is: summed
/// over the processes, values and gradients are those of the mean over the whole batch.
#pragma once

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
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

/// Each count's share of its sum over all processes; 1 where there is nothing anywhere.
absl::StatusOr<std::vector<double>> SharesOf(const std::vector<int64_t>& counts, ProcessGroup* group);

}  // namespace manyform

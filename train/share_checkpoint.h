/// \file
/// One beginning for all processes of a run.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "model/checkpoint.h"
#include "train/process_group.h"

namespace manyform {

/// Every process of `group` goes on from what the first one has, so that only that one needs to find
/// checkpoints: the tensors of `own` but for `rng`, in place, and `counters`.
/// \error InvalidArgument in all of them if one was given other settings, epochs or inputs, as `own.header`
/// says; as ProcessGroup.
absl::Status ShareCheckpoint(const Checkpoint& own, int64_t epochs, const std::vector<int64_t*>& counters,
                             ProcessGroup* group);

}  // namespace manyform

#include "train/share_checkpoint.h"

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status_macros.h"

namespace manyform {

absl::Status ShareCheckpoint(const Checkpoint& own, int64_t epochs, const std::vector<int64_t*>& counters,
                             ProcessGroup* group) {
  if (group->alone()) return absl::OkStatus();
  const int64_t run = Md5Prefix32(
      absl::StrCat(own.header.config_fingerprint(), " ", own.header.data_fingerprint(), " ", epochs));
  std::vector<int64_t> values = {run};
  for (const int64_t* counter : counters) values.push_back(*counter);
  const at::Tensor first = at::tensor(values, at::kLong);
  MF_RETURN_IF_ERROR(group->Broadcast(first));
  MF_ASSIGN_OR_RETURN(const bool differ, group->Any(first[0].item<int64_t>() != run));
  if (differ)
    return absl::InvalidArgumentError(
        "the processes of this run were given different settings or inputs, expected the same for all");
  for (size_t i = 0; i < counters.size(); ++i)
    *counters[i] = first[static_cast<int64_t>(i) + 1].item<int64_t>();
  for (const NamedTensors* tensors : {&own.model, &own.aux_heads, &own.exp_avg, &own.exp_avg_sq, &own.step})
    for (const auto& [name, tensor] : *tensors) MF_RETURN_IF_ERROR(group->Broadcast(tensor));
  return absl::OkStatus();
}

}  // namespace manyform

/// \file
/// Which of the processes of a run this one is, as torchrun and srun tell it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace manyform {

struct ProcessPlace {
  int64_t rank = 0, size = 1;
  int64_t local_rank = 0;  ///< among those on its machine
  std::string master;      ///< where the first process is met
  int64_t port = 0;
  bool alone() const { return size == 1; }
};

/// From WORLD_SIZE, RANK, LOCAL_RANK, MASTER_ADDR and MASTER_PORT. Where MASTER_ADDR is given and WORLD_SIZE
/// is not, from srun's SLURM_NTASKS, SLURM_PROCID and SLURM_LOCALID. Without either there is one process.
/// \error InvalidArgument naming the variable that is missing or no number of its range.
absl::StatusOr<ProcessPlace> ReadProcessPlace();

/// \error InvalidArgument unless each process gets a sequence of a batch of `batch`. Says so if some get more
/// than others.
absl::Status CheckBatchDivides(int64_t batch, const ProcessPlace& place);

/// `device` of one of several processes on a machine: "cuda" becomes its own, cuda:<local_rank>.
std::string DeviceOfProcess(const std::string& device, const ProcessPlace& place);

}  // namespace manyform

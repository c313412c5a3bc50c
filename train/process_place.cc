#include "train/process_place.h"

#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

constexpr int64_t kMostProcesses = 1 << 20, kMostPort = 65535;

bool IsGiven(const char* name) {
  const char* value = getenv(name);
  return value != nullptr && *value != '\0';
}

absl::StatusOr<int64_t> Number(const char* name, int64_t least, int64_t most) {
  const char* text = getenv(name);
  int64_t value = 0;
  if (text != nullptr && absl::SimpleAtoi(text, &value) && value >= least && value <= most) return value;
  return absl::InvalidArgumentError(absl::StrCat(
      "environment: ", name, text == nullptr ? " is not set" : absl::StrCat(" is \"", text, "\""),
      ", expected ", least, " to ", most));
}

struct Names {
  const char *size, *rank, *local_rank;
};

}  // namespace

absl::StatusOr<ProcessPlace> ReadProcessPlace() {
  ProcessPlace place;
  const bool slurm = !IsGiven("WORLD_SIZE") && IsGiven("MASTER_ADDR") && IsGiven("SLURM_NTASKS");
  if (!slurm && !IsGiven("WORLD_SIZE")) {
    if (!IsGiven("RANK")) return place;
    return absl::InvalidArgumentError("environment: RANK is set, but WORLD_SIZE is not");
  }
  const Names names = slurm ? Names{"SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID"}
                            : Names{"WORLD_SIZE", "RANK", "LOCAL_RANK"};
  MF_ASSIGN_OR_RETURN(place.size, Number(names.size, 1, kMostProcesses));
  if (place.alone()) return place;
  MF_ASSIGN_OR_RETURN(place.rank, Number(names.rank, 0, place.size - 1));
  if (IsGiven(names.local_rank)) {
    MF_ASSIGN_OR_RETURN(place.local_rank, Number(names.local_rank, 0, place.rank));
  }
  if (!IsGiven("MASTER_ADDR")) return absl::InvalidArgumentError("environment: MASTER_ADDR is not set");
  place.master = getenv("MASTER_ADDR");
  MF_ASSIGN_OR_RETURN(place.port, Number("MASTER_PORT", 1, kMostPort));
  return place;
}

absl::Status CheckBatchDivides(int64_t batch, const ProcessPlace& place) {
  if (batch < place.size)
    return absl::InvalidArgumentError(
        absl::StrCat("batch: ", batch, " sequences are too few for ", place.size, " processes"));
  if (batch % place.size != 0)
    LogLine(absl::StrCat("batch: ", batch, " sequences are not divided evenly: ", batch % place.size, " of ",
                         place.size, " processes have one more than the others"));
  return absl::OkStatus();
}

std::string DeviceOfProcess(const std::string& device, const ProcessPlace& place) {
  return device == "cuda" && !place.alone() ? absl::StrCat("cuda:", place.local_rank) : device;
}

}  // namespace manyform

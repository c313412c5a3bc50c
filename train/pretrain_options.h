/// \file
/// What a pretraining config asks for, checked and as the parts of a run want it.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/transformer_parameters.h"
#include "proto/train.pb.h"
#include "train/auxiliary_terms.h"
#include "train/schedules.h"

namespace manyform {

/// Sets what other fields imply (encdec: query/answer tokens in split layout; says so in the log).
/// \error InvalidArgument naming a field that would have no effect beside the others, or contradicts them.
absl::Status CompletePretrainConfig(PretrainConfig* config);

/// Points and rays by epoch. \error as SizeSchedule::Parse.
struct SequenceSizes {
  SizeSchedule n_point, n_ray;
  int64_t Total(int64_t epoch) const { return n_point.At(epoch) + n_ray.At(epoch); }
};
absl::StatusOr<SequenceSizes> SequenceSizesOf(const PretrainConfig& config);

/// Of a model for sequences of at most `longest` tokens. \error InvalidArgument if max_len is too small.
absl::StatusOr<TransformerConfig> TransformerConfigOf(const PretrainConfig& config, int64_t longest);
AuxiliaryOptions AuxiliaryOptionsOf(const PretrainConfig& config);
absl::StatusOr<DualMaskSchedule> DualMaskScheduleOf(const PretrainConfig& config, int64_t total_batches);
LearningRateSchedule LearningRateScheduleOf(const PretrainConfig& config, int64_t total_steps);

}  // namespace manyform

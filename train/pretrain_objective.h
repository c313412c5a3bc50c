/// \file
/// The loss of a pretraining batch under a config: objective, dual mask, auxiliary terms, teacher.
#pragma once

#include <cstdint>
#include <optional>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "model/query_transformer.h"
#include "proto/train.pb.h"
#include "train/auxiliary_terms.h"
#include "train/schedules.h"

namespace manyform {

class PretrainObjective {
 public:
  /// `heads`: trained ones of a checkpoint to go on with; without them fresh ones. The teacher's position
  /// embedding is resized to `max_len`. \error as LoadModel for the teacher; InvalidArgument for heads or a
  /// teacher that do not fit.
  static absl::StatusOr<PretrainObjective> Create(const PretrainConfig& config, int64_t max_len,
                                                  int64_t total_batches, const NamedTensors* heads,
                                                  c10::Device device);

  /// Of the batch number `batch` since the start of training, whose sequences have `total` points and rays.
  LossTerms Loss(const QueryTransformer& model, const at::Tensor& feat, const at::Tensor& type_id,
                 int64_t batch, int64_t total) const;

  /// What is trained beside the model; leaves that require gradients.
  const NamedTensors& heads() const { return heads_; }
  /// SHA-256 of the teacher's weights; empty without one.
  const std::string& teacher_hash() const { return teacher_hash_; }

 private:
  PretrainObjective(const PretrainConfig& config, DualMaskSchedule dual_mask);

  bool mae_;
  double mask_ratio_;
  int64_t seed_;
  AuxiliaryOptions auxiliary_;
  DualMaskSchedule dual_mask_;
  NamedTensors heads_;
  std::optional<QueryTransformer> teacher_;
  std::string teacher_hash_;
};

}  // namespace manyform

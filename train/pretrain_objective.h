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
#include "train/batch_share.h"
#include "train/process_group.h"
#include "train/schedules.h"

namespace manyform {

/// `terms.total` has the graph: of this process's share of the loss, if there are several.
struct PretrainLoss {
  LossTerms terms;
  double value = 0;  ///< of the whole batch, as are the terms' parts
};

class PretrainObjective {
 public:
  /// `heads`: trained ones of a checkpoint to go on with; without them fresh ones. The teacher's position
  /// embedding is resized to `max_len`. \error as LoadModel for the teacher; InvalidArgument for heads or a
  /// teacher that do not fit.
  static absl::StatusOr<PretrainObjective> Create(const PretrainConfig& config, int64_t max_len,
                                                  int64_t total_batches, const NamedTensors* heads,
                                                  c10::Device device);

  /// Of the batch number `batch` since the start of training, whose sequences have `total` points and rays;
  /// feat and type_id are the `part` of it that this process of `group` has. \error as ProcessGroup.
  absl::StatusOr<PretrainLoss> Loss(const QueryTransformer& model, const at::Tensor& feat,
                                    const at::Tensor& type_id, int64_t batch, int64_t total,
                                    const BatchPart& part, ProcessGroup* group) const;

  /// What is trained beside the model; leaves that require gradients.
  const NamedTensors& heads() const { return heads_; }
  /// SHA-256 of the teacher's weights; empty without one.
  const std::string& teacher_hash() const { return teacher_hash_; }

 private:
  PretrainObjective(const PretrainConfig& config, DualMaskSchedule dual_mask);
  // `first`: where in `whole` the sequences of feat and type_id begin.
  std::vector<LossTerm> MaeTerms(const QueryTransformer& model, const at::Tensor& feat,
                                 const at::Tensor& type_id, int64_t batch, const WholeBatch& whole,
                                 int64_t first) const;
  std::vector<LossTerm> NepaTerms(const QueryTransformer& model, const at::Tensor& feat,
                                  const at::Tensor& type_id, int64_t batch, int64_t total,
                                  const WholeBatch& whole, int64_t first) const;

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

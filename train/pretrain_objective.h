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

/// Sequences that this process has of a batch, and what the whole batch decides for them.
struct PreparedBatch {
  at::Tensor feat, type_id;           ///< (n,T,15), (n,T)
  bool answers = false;               ///< whether any sequence of the batch has some
  at::Tensor masked;                  ///< mae: (n,T) bool
  at::Tensor blocked, cycle_blocked;  ///< (T,T) bool, where the dual mask is on
  AuxiliaryDraws draws;
  std::vector<int64_t> totals;  ///< of the batch, for each mean in turn
};

class PretrainObjective {
 public:
  /// `heads`: trained ones of a checkpoint to go on with; without them fresh ones. The teacher's position
  /// embedding is resized to `max_len`. \error as LoadModel for the teacher; InvalidArgument for heads or a
  /// teacher that do not fit.
  static absl::StatusOr<PretrainObjective> Create(const PretrainConfig& config, int64_t max_len,
                                                  int64_t total_batches, const NamedTensors* heads,
                                                  c10::Device device);

  /// Draws for the batch number `batch` since the start of training, whose sequences have `total` points and
  /// rays; feat and type_id are the `part` of it that this process of `group` has. \error as ProcessGroup.
  absl::StatusOr<PreparedBatch> Prepare(const at::Tensor& feat, const at::Tensor& type_id, int64_t batch,
                                        int64_t total, const BatchPart& part, ProcessGroup* group) const;
  /// The share that sequences [first, first + count) of `batch` have in the batch's loss, with a graph.
  LossTerms Loss(const QueryTransformer& model, const PreparedBatch& batch, int64_t first,
                 int64_t count) const;

  /// What is trained beside the model; leaves that require gradients.
  const NamedTensors& heads() const { return heads_; }
  /// SHA-256 of the teacher's weights; empty without one.
  const std::string& teacher_hash() const { return teacher_hash_; }

 private:
  PretrainObjective(const PretrainConfig& config, const DualMaskSchedule& dual_mask);
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

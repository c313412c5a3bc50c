/// \file
/// Terms beside next-embedding prediction: ray and point answers read off the predictions (B-2, B-3, E), a
/// frozen teacher (C-0, C-1), consistency under hidden answers (C-2), and the hardest tokens (D).
///
/// Each is a number about the prediction made at token t for its target t + 1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "base/numpy_random.h"
#include "model/named_tensors.h"
#include "model/query_transformer.h"

namespace manyform {

/// Under their published names. A weight of 0 leaves the term out.
struct AuxiliaryOptions {
  double aux_b2_weight = 0, aux_b2_hit_weight = 1, aux_b2_t_weight = 1, aux_b2_rank_weight = 1;
  int64_t aux_b2_rank_pairs = 128;
  double aux_b2_rank_margin = 0;
  double aux_b3_weight = 0, aux_b3_near_tau = 0.05;
  double aux_e_weight = 0;
  double teacher_distill_weight = 0, teacher_answer_drop_prob = 0;
  double cycle_weight = 0, cycle_answer_drop_prob = 0.3;
  double d_hard_weight = 0, d_hard_top_frac = 0.25;
  int64_t d_hard_min_tokens = 32;
};

/// Linear(d,1) each: ray_hit and ray_t (B-2), point_dist (B-3), e_point_dist (E), of the terms that are on.
/// Fresh as torch.nn.Linear's in distribution.
NamedTensors FreshAuxiliaryHeads(const AuxiliaryOptions& options, int64_t d_model, uint64_t seed);
/// Copies that require gradients. \error InvalidArgument unless they are just the heads of `options`.
absl::StatusOr<NamedTensors> CheckedAuxiliaryHeads(const AuxiliaryOptions& options, int64_t d_model,
                                                   const NamedTensors& tensors);

/// What a step draws at random, as torch's CPU generator would under the same seed.
struct AuxiliaryDraws {
  /// A sequence's pairs of hit rays: indices among its hits. Nothing for one with less than two.
  std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>> rank_pairs;
  at::Tensor teacher_dropped, cycle_dropped;  ///< (B,T) bool: answers the student, the second view do not see
};
/// Pairs of each sequence in turn, then the teacher's and the cycle's answers. `hit` (B,T) bool: HitTokens.
AuxiliaryDraws DrawAuxiliary(const AuxiliaryOptions& options, const at::Tensor& hit,
                             NumpyRandomState& random);
/// What concerns sequences [first, first + count).
AuxiliaryDraws DrawsOf(const AuxiliaryDraws& draws, int64_t first, int64_t count);

/// (B,T) bool: rays that hit something.
at::Tensor HitTokens(const at::Tensor& feat, const at::Tensor& type_id);

/// Features with the answers of `dropped` tokens zeroed: a point's distance, a ray's hit position, t, hit and
/// normal.
at::Tensor DropAnswers(const at::Tensor& feat, const at::Tensor& type_id, const at::Tensor& dropped);

struct AuxiliaryInputs {
  const QueryTransformer* model = nullptr;
  const QueryTransformer* teacher = nullptr;  ///< if teacher_distill_weight > 0
  const NamedTensors* heads = nullptr;
  at::Tensor feat, type_id;  ///< (B,T,15), (B,T)
  /// Optional (T,T) bool masks, true: blocked: of the main view, and of the cycle's own.
  at::Tensor blocked, cycle_blocked;
  std::optional<bool> answers;  ///< as in PredictingRows
};

/// A mean over `count` targets, points, rays or sequences; 0 with a graph over none.
struct CountedMean {
  at::Tensor mean;
  int64_t count = 0;
  double weight = 1;  ///< within its term
};
struct LossTerm {
  std::string name;
  double weight = 1;
  std::vector<CountedMean> means;
};
/// "nepa", then b2 b3 e d distill cycle, those that are on.
std::vector<LossTerm> NepaWithAuxiliary(const AuxiliaryInputs& inputs, const AuxiliaryOptions& options,
                                        const AuxiliaryDraws& draws);

/// The counts of these means in turn, without computing them: what a batch is to know of all its parts before
/// the first one's gradients.
std::vector<int64_t> CountMeans(const at::Tensor& feat, const at::Tensor& type_id,
                                std::optional<bool> answers, const AuxiliaryOptions& options,
                                const AuxiliaryDraws& draws);

/// The sum with a graph, and what it is made of, unweighted and without one.
struct LossTerms {
  at::Tensor total;
  std::vector<std::pair<std::string, at::Tensor>> parts;
};
/// `shares`: a factor for each mean in turn; without them all are 1. \pre there is a term
LossTerms SumOf(const std::vector<LossTerm>& terms, const std::vector<double>& shares = {});

}  // namespace manyform

/// \file
/// A linear head whose predictions differ no more than their points do: a ridge head refined by gradient
/// descent on the violations of the 1-Lipschitz bound that every distance field keeps.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "base/numpy_random.h"

namespace manyform {

struct LipschitzOptions {
  double weight = 0;           ///< of the mean violation in the loss
  double ridge_lambda = 1e-3;  ///< of the mean squared weight, bias apart
  int64_t pairs = 2048;        ///< points compared a step
  int64_t steps = 200;
  double learning_rate = 0.01;
};

/// Rows of one shape are compared with each other only.
struct LipschitzRows {
  at::Tensor x;                ///< (N,d) f32
  at::Tensor xyz;              ///< (N,3) f32
  std::vector<float> target;   ///< (N)
  std::vector<int64_t> shape;  ///< (N)
};

struct LipschitzReport {
  int64_t shapes = 0;    ///< with two rows or more
  double at_start = 0;   ///< mean violation of the given head over the first pairs
  bool refined = false;  ///< false: no violation at the start, the head is left as it is
  /// Of the last step, before its update.
  double mse = 0, ridge = 0, violation = 0, loss = 0;
};

/// Refines `head` ((d+1) f32, bias last) by Adam over all rows on
///   mean (x w + b - y)^2 + ridge_lambda mean w^2 + weight mean relu(|p_i - p_j| - |xyz_i - xyz_j|),
/// the last over fresh random pairs a step: a shape with two rows or more, then two of its rows. The pairs of
/// the first test are drawn before those of the steps.
/// \error FailedPrecondition if no shape has two rows, or the head stops being finite.
absl::StatusOr<LipschitzReport> RefineLipschitz(const LipschitzRows& rows, const LipschitzOptions& options,
                                                NumpyRandomState& random, at::Tensor* head);

}  // namespace manyform

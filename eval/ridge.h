/// \file
/// Ridge regression fitted row block by row block: what a linear probe costs in memory is d^2, not rows.
#pragma once

#include <cstdint>
#include <span>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"

namespace manyform {

/// Normal equations ([X 1]^T [X 1] + lambda I) w = [X 1]^T y in double; the bias, which is the last entry of
/// w, is penalised like the rest.
class RidgeFit {
 public:
  explicit RidgeFit(int64_t features);
  /// (rows, features) f32 and (rows) targets.
  void Add(const at::Tensor& x, std::span<const float> y);
  int64_t rows() const { return rows_; }
  /// (features + 1) f32. \error FailedPrecondition without rows, or if the equations are singular (lambda 0
  /// with too few rows) or their solution is not finite.
  absl::StatusOr<at::Tensor> Solve(double lambda) const;

 private:
  int64_t rows_ = 0;
  at::Tensor gram_, moment_;
};

/// X w + b in f32: (rows). \pre w has x.size(1) + 1 entries
at::Tensor ApplyRidge(const at::Tensor& x, const at::Tensor& w);

}  // namespace manyform

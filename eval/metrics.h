/// \file
/// How far a predicted distance field is from the true one.
#pragma once

#include <cstdint>
#include <span>

namespace manyform {

struct FieldError {
  double mae = 0, rmse = 0;
  /// Of the sets {d <= tau}; union + 1e-9 in the denominator, so two empty sets give 0.
  double iou = 0;
  int64_t n = 0;  ///< distances compared
};

/// Over all distances; NaN where n is 0. Sums in double. \pre equal sizes
FieldError CompareDistances(std::span<const float> predicted, std::span<const float> truth, float tau);
/// Over those whose true distance is <= near_tau.
FieldError CompareNearDistances(std::span<const float> predicted, std::span<const float> truth, float tau,
                                float near_tau);

}  // namespace manyform

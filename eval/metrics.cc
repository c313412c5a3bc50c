#include "eval/metrics.h"

#include <cmath>
#include <limits>

namespace manyform {

FieldError CompareNearDistances(std::span<const float> predicted, std::span<const float> truth, float tau,
                                float near_tau) {
  FieldError error;
  int64_t both = 0, either = 0;
  double absolute = 0, squared = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    if (!(truth[i] <= near_tau)) continue;
    const double difference = double{predicted[i]} - double{truth[i]};
    absolute += std::abs(difference);
    squared += difference * difference;
    const bool in_prediction = predicted[i] <= tau, in_truth = truth[i] <= tau;
    both += in_prediction && in_truth;
    either += in_prediction || in_truth;
    ++error.n;
  }
  if (error.n == 0) {
    error.mae = error.rmse = error.iou = std::numeric_limits<double>::quiet_NaN();
    return error;
  }
  const double n = static_cast<double>(error.n);
  error.mae = absolute / n;
  error.rmse = std::sqrt(squared / n);
  error.iou = static_cast<double>(both) / (static_cast<double>(either) + 1e-9);
  return error;
}

FieldError CompareDistances(std::span<const float> predicted, std::span<const float> truth, float tau) {
  return CompareNearDistances(predicted, truth, tau, std::numeric_limits<float>::infinity());
}

}  // namespace manyform

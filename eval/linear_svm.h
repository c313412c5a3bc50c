/// \file
/// Linear support vectors: one class against the rest, squared hinge loss, as liblinear solves it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "eval/feature_rows.h"

namespace manyform {

class LinearSvm {
 public:
  /// Minimises, for each class, |(w,b)|^2 / 2 + c sum max(0, 1 - y (w x + b))^2 in the primal, which draws no
  /// random numbers. Thread-safe. `labels` are those of the rows. \pre c > 0
  /// \error InvalidArgument for fewer than two classes.
  static absl::StatusOr<LinearSvm> Fit(const FeatureRows& rows, std::span<const int64_t> labels, double c);
  /// w x + b of each class, (n, classes), in ascending order of their labels.
  FeatureRows Decisions(const FeatureRows& rows) const;
  /// The class of the largest decision value, the smallest of equal ones.
  std::vector<int64_t> Predict(const FeatureRows& rows) const;

 private:
  std::vector<int64_t> classes_;  // sorted
  Eigen::MatrixXd weights_;       // (d, classes)
  Eigen::RowVectorXd biases_;
};

/// The c of `grid` with the most right answers in stratified cross-validation, the smallest of equally good
/// ones. The i-th row of a class is held out in fold i mod `folds`; there are never more folds than the
/// smallest class has rows. Does not depend on num_threads.
/// \error InvalidArgument for an empty grid, a class of one row, fewer than two classes; as ParallelFor.
absl::StatusOr<double> ChoosePenalty(const FeatureRows& rows, std::span<const int64_t> labels,
                                     std::span<const double> grid, int64_t folds, int num_threads);

}  // namespace manyform

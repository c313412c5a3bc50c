/// \file
/// The linear head of field completion: which rows it is fitted on, and how.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "eval/completion_sample.h"
#include "eval/lipschitz.h"
#include "eval/ridge.h"
#include "eval/target_transform.h"

namespace manyform {

struct HeadOptions {
  double ridge_lambda = 1e-3;
  int64_t most_rows = 0;  ///< the first of a permutation; 0: all
  uint32_t row_seed = 0;
  TargetTransform transform;
  /// Refined after the ridge fit, both on no more than lipschitz_rows rows (0: all).
  std::optional<LipschitzOptions> lipschitz;
  int64_t lipschitz_rows = 0;
  uint32_t lipschitz_seed = 0;
};

struct FittedHead {
  at::Tensor weights;  ///< (d+1) f32, bias last
  int64_t rows = 0;    ///< fitted on
  std::optional<LipschitzReport> lipschitz;
};

/// The rows a head was fitted on, in the order of shapes.
struct HeadRows {
  std::vector<at::Tensor> x;
  std::vector<float> y;
};

/// Takes the states of shapes one block after the other. Memory: the square of the features; with a Lipschitz
/// term also the rows it looks at.
class HeadBuilder {
 public:
  HeadBuilder(const HeadOptions& options, int64_t shapes, int64_t queries, int64_t features);
  /// What is used from here on is added to `rows`, too.
  void Record(HeadRows* rows) { rows_ = rows; }
  /// Shapes from `first` on; states (samples.size() queries, features).
  void Add(int64_t first, std::span<const CompletionSample> samples, const at::Tensor& states);
  /// \error as RidgeFit::Solve and RefineLipschitz.
  absl::StatusOr<FittedHead> Finish();

 private:
  void Keep(int64_t slot, int64_t shape, std::span<const float> point, float target);
  HeadOptions options_;
  int64_t queries_;
  /// Where a row is kept, in the order of drawing; -1: not used.
  std::vector<int64_t> slots_;
  RidgeFit fit_;
  NumpyRandomState random_;
  LipschitzRows kept_;
  HeadRows* rows_ = nullptr;
};

}  // namespace manyform

/// \file
/// AdamW with decoupled weight decay (Loshchilov and Hutter 2019), its state in tensors that a checkpoint can
/// hold.
#pragma once

#include "absl/status/status.h"
#include "model/checkpoint.h"
#include "model/named_tensors.h"

namespace manyform {

struct AdamWOptions {
  double lr = 3e-4, weight_decay = 0.05;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
};

class AdamW {
 public:
  /// Optimises `parameters` in place; weight decay is applied to all of them, as published.
  AdamW(NamedTensors parameters, const AdamWOptions& options);
  /// Forgets gradients, so that the next backward pass writes its own instead of adding to them.
  void ClearGradients();
  /// Euclidean norm over all gradients, in double.
  double GradientNorm() const;
  void ScaleGradients(double factor);
  void SetLearningRate(double lr) { options_.lr = lr; }
  double learning_rate() const { return options_.lr; }
  /// One step; parameters without a gradient are left alone.
  void Step();
  const NamedTensors& parameters() const { return parameters_; }

  /// Puts the state into exp_avg, exp_avg_sq and step of a checkpoint (shared storage).
  void Save(Checkpoint* checkpoint) const;
  /// Takes it from there. Parameters whose state is missing or of another shape start afresh; their names are
  /// returned.
  std::vector<std::string> Load(const Checkpoint& checkpoint);

 private:
  NamedTensors parameters_;
  AdamWOptions options_;
  std::vector<at::Tensor> exp_avg_, exp_avg_sq_, step_;
};

}  // namespace manyform

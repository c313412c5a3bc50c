/// \file
/// Classes from a sequence's vector.
#pragma once

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "c10/core/Device.h"
#include "model/named_tensors.h"

namespace manyform {

/// Linear(d, classes).
class ClassifierHead {
 public:
  /// Fresh weights as torch.nn.Linear's in distribution; `seed` decides them.
  ClassifierHead(int64_t d_model, int64_t classes, uint64_t seed);
  /// \error InvalidArgument unless `tensors` are its two.
  static absl::StatusOr<ClassifierHead> FromTensors(int64_t d_model, int64_t classes,
                                                    const NamedTensors& tensors);
  /// cls.weight (classes,d) and cls.bias (classes), leaves that require gradients.
  const NamedTensors& parameters() const { return parameters_; }
  /// Moves the weights; parameters() are new leaves afterwards.
  void To(c10::Device device);
  /// (B,d) to (B,classes).
  at::Tensor Logits(const at::Tensor& pooled) const;

 private:
  explicit ClassifierHead(NamedTensors parameters);
  NamedTensors parameters_;
};

}  // namespace manyform

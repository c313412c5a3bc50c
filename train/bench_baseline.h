/// \file
/// A training step computed the published way, as the yardstick of //train:bench and the slow reference of
/// its test: every token through every layer and head, attention under a dense float mask, all activations
/// kept by autograd, an optimizer that walks tensor by tensor.
#pragma once

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "model/query_transformer.h"

namespace manyform {

/// NepaLoss of the causal architecture. `mask` (T,T) f32, added to the scores: -inf where one may not attend.
at::Tensor BaselineNepaLoss(const QueryTransformer& model, const at::Tensor& feat, const at::Tensor& type_id,
                            const at::Tensor& mask);

/// AdamW with the published rates, in the order of PyTorch's loop over tensors.
class BaselineAdamW {
 public:
  explicit BaselineAdamW(NamedTensors parameters);
  void ClearGradients();
  void Step();

 private:
  NamedTensors parameters_;
  std::vector<at::Tensor> exp_avg_, exp_avg_sq_;
  int64_t step_ = 0;
};

}  // namespace manyform

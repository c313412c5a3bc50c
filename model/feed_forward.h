/// \file
/// Linear -> GELU -> Linear that keeps less for the backward pass.
#pragma once

#include "ATen/core/Tensor.h"

namespace manyform {

/// linear(gelu(linear(x, w1, b1)), w2, b2) with exact (erf) GELU, x (..., d). Of the two wide tensors (rows,
/// 4d) the backward pass computes one again, which is cheap, instead of keeping both: a quarter of a training
/// step's memory.
at::Tensor FeedForward(const at::Tensor& x, const at::Tensor& w1, const at::Tensor& b1, const at::Tensor& w2,
                       const at::Tensor& b2);

}  // namespace manyform

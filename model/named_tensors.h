/// \file
/// Tensors by name, in a fixed order.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ATen/core/Tensor.h"

namespace manyform {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

}  // namespace manyform

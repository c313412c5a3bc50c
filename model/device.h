/// \file
/// Where tensors live and are computed on.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "c10/core/Device.h"

namespace manyform {

/// "cpu"; "cuda" or "cuda:N"; "auto": the first GPU LibTorch can use, else the CPU. LibTorch's CUDA half is
/// no part of the program: it is opened here, if it is asked for and installed, so call this before tensors
/// are made. \error InvalidArgument for another name; FailedPrecondition, with what is missing, where a GPU
/// was asked for by name and cannot be used.
absl::StatusOr<c10::Device> SelectDevice(const std::string& name);

}  // namespace manyform

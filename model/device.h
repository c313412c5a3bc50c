/// \file
/// Where tensors live and are computed on.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "c10/core/Device.h"

namespace manyform {

/// "cpu"; "cuda" or "cuda:N"; "auto": the first GPU LibTorch can use, else the CPU. LibTorch's CUDA half is
/// no part of the program: it is opened here, if it is asked for and installed, so call this before tensors
/// are made. \error InvalidArgument for another name; FailedPrecondition, with what is missing, where a GPU
/// was asked for by name and cannot be used.
absl::StatusOr<c10::Device> SelectDevice(const std::string& name);

/// What allocates memory that `device` copies from while the program goes on (page-locked), freed with its
/// last owner; null for the CPU, which copies nothing.
std::function<std::shared_ptr<void>(size_t bytes)> StagingAllocator(c10::Device device);

}  // namespace manyform

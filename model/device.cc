#include "model/device.h"

#include <ATen/ATen.h>
#include <dlfcn.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace manyform {
namespace {

// Empty once LibTorch's CUDA half is there; else why not. Never closed: its constructors registered
// operators.
const std::string& CudaMissing() {
  static const std::string& missing = *new std::string([]() -> std::string {
    // The driver first: without it the rest, half a gigabyte, is not worth opening.
    for (const char* library : {"libcuda.so.1", "libtorch_cuda.so"}) {
      if (dlopen(library, RTLD_NOW | RTLD_GLOBAL) == nullptr) return dlerror();
    }
    if (!at::globalContext().hasCUDA() || at::detail::getCUDAHooks().deviceCount() < 1) {
      return "LibTorch finds no CUDA device";
    }
    return "";
  }());
  return missing;
}

}  // namespace

absl::StatusOr<c10::Device> SelectDevice(const std::string& name) {
  if (name == "cpu") return c10::Device(c10::kCPU);
  if (name == "auto") return CudaMissing().empty() ? c10::Device(c10::kCUDA, 0) : c10::Device(c10::kCPU);
  int index = 0;
  const bool indexed = name.starts_with("cuda:") && absl::SimpleAtoi(name.substr(5), &index) && index >= 0;
  if (name != "cuda" && !indexed) {
    return absl::InvalidArgumentError(
        absl::StrCat("device is \"", name, "\", expected auto, cpu, cuda or cuda:N"));
  }
  if (!CudaMissing().empty()) {
    return absl::FailedPreconditionError(absl::StrCat("device=", name, ": ", CudaMissing()));
  }
  const int devices = at::detail::getCUDAHooks().deviceCount();
  if (index >= devices) {
    return absl::FailedPreconditionError(
        absl::StrCat("device=", name, ": this machine has devices cuda:0 to cuda:", devices - 1));
  }
  return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
}

std::function<std::shared_ptr<void>(size_t bytes)> StagingAllocator(c10::Device device) {
  if (device.is_cpu()) return nullptr;
  return [type = device.type()](size_t bytes) -> std::shared_ptr<void> {
    const auto memory =
        std::make_shared<at::DataPtr>(at::globalContext().getPinnedMemoryAllocator(type)->allocate(bytes));
    return {memory, memory->get()};
  };
}

}  // namespace manyform

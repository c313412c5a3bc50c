/// \file
/// LibTorch's exceptions as absl::Status.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "c10/util/Exception.h"

namespace manyform {

/// fn(), which returns a Status or StatusOr. \error ResourceExhausted when memory runs out, Internal for
/// other exceptions, without the stack trace.
template <class Function>
auto CatchTensorErrors(const Function& fn) -> std::invoke_result_t<Function> {
  try {
    return fn();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory; a smaller batch or a shorter sequence needs less");
  } catch (const c10::Error& e) {
    const std::string text = e.what_without_backtrace();
    if (text.find("DefaultCPUAllocator") != std::string::npos)
      return absl::ResourceExhaustedError("out of memory; a smaller batch or a shorter sequence needs less");
    return absl::InternalError(text);
  } catch (const std::exception& e) {
    return absl::InternalError(e.what());
  }
}

}  // namespace manyform

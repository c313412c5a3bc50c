/// \file
/// Runs a test once for each function of a kernel_library.
#pragma once

#include <string>
#include <utility>

#include "geometry/kernel_choice.h"
#include "gtest/gtest.h"

namespace manyform {

template <class Kernel>
class KernelTest : public testing::TestWithParam<std::pair<Instructions, Kernel*>> {
 protected:
  void SetUp() override {
    if (!ProcessorHas(KernelTest::GetParam().first))
      GTEST_SKIP() << "this processor has no such instructions";
  }
  static Kernel& kernel() { return *KernelTest::GetParam().second; }
};

/// The parameters of a KernelTest.
template <class Kernel>
auto EachKernel(Kernel* portable, Kernel* avx2, Kernel* avx512) {
  return testing::Values(std::pair{Instructions::kPortable, portable}, std::pair{Instructions::kAvx2, avx2},
                         std::pair{Instructions::kAvx512, avx512});
}

template <class Parameter>
std::string KernelName(const testing::TestParamInfo<Parameter>& info) {
  switch (info.param.first) {
    case Instructions::kPortable:
      return "Portable";
    case Instructions::kAvx2:
      return "Avx2";
    case Instructions::kAvx512:
      return "Avx512";
  }
  return "";
}

}  // namespace manyform

#include <cstdint>
#include <span>

#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)manyform::ParseSafeTensors("fuzzed", std::span(data, size));
  return 0;
}

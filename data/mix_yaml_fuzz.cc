#include <cstdint>
#include <string>

#include "data/mix_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)manyform::ParseMixYaml(std::string(reinterpret_cast<const char*>(data), size), "fuzz.yaml");
  return 0;
}

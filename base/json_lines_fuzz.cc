#include <cstdint>
#include <string>

#include "base/json_lines.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)manyform::ParseJsonLines(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
  return 0;
}

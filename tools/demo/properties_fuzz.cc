#include <cstdint>
#include <cstdlib>

#include "tools/demo/properties.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parsed = manyform::ParseProperties({reinterpret_cast<const char*>(data), size});
  if (!parsed.ok()) return 0;
  // A byte of ISO-8859-1 becomes two at most, an escape of six becomes three or less.
  size_t total = 0;
  for (const auto& [key, value] : *parsed) total += key.size() + value.size();
  if (total > 2 * size) abort();
  return 0;
}

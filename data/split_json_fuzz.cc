#include <cstdint>
#include <cstdlib>
#include <string>

#include "data/split_manifest_io.h"

// What is accepted can be written, and is accepted again as the same.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto manifest =
      manyform::ParseSplitJson(std::string(reinterpret_cast<const char*>(data), size), "fuzz.json");
  if (!manifest.ok()) return 0;
  const auto text = manyform::FormatSplitJson(*manifest);
  if (!text.ok()) abort();
  const auto again = manyform::ParseSplitJson(*text, "again.json");
  if (!again.ok() || manyform::FormatSplitJson(*again).value_or("") != *text) abort();
  return 0;
}

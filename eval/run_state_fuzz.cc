// The files of a run folder: the first byte says which are there, each ends at a zero byte.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "eval/run_state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t which = data[0];
  std::string rest(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto part = [&](int bit) -> std::optional<std::string> {
    if ((which >> bit & 1) == 0) return std::nullopt;
    const size_t end = std::min(rest.find('\0'), rest.size());
    std::string text = rest.substr(0, end);
    rest.erase(0, end + 1);
    return text;
  };
  manyform::RunFiles files;
  files.status = part(0);
  files.lock = part(1);
  files.last_log = part(2);
  // Binary: all that is left.
  if ((which & 8) != 0) files.record = rest;
  const manyform::PlannedCell cell{.run = "a", .measurement = "m", .method = "a"};
  const manyform::RunState state = manyform::StateOf(files, (which & 16) != 0 ? &cell : nullptr);
  if (!state.has_state()) __builtin_trap();
  return 0;
}

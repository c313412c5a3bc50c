#include <cstdint>
#include <cstdlib>

#include "tools/demo/upright_obj.h"

// A model without rotation keeps its geometry, and what was made of it is accepted again, unchanged.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  (void)manyform::ParseRotation(text);
  const auto upright = manyform::MakeUpright(text, manyform::kNoRotation, "");
  if (!upright.ok()) return 0;
  const auto again = manyform::MakeUpright(upright->text, manyform::kNoRotation, "");
  if (!again.ok() || again->text != upright->text || again->geometry_hash != upright->geometry_hash) abort();
  const manyform::Rotation z_up = {1, 0, 0, 0, 0, 1, 0, -1, 0};
  (void)manyform::MakeUpright(text, z_up, "a.mtl");
  return 0;
}

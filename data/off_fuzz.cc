#include "data/off_reader.h"
#include "geometry/mesh.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto mesh = manyform::ParseOff({reinterpret_cast<const char*>(data), size}, "fuzz.off");
  if (mesh.ok() && mesh->faces.rows() > 0 && !manyform::ValidateMesh(*mesh).ok()) __builtin_trap();
  return 0;
}

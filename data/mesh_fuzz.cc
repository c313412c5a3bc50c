#include <cstdint>
#include <span>

#include "data/ply_reader.h"
#include "data/stl_reader.h"
#include "geometry/mesh.h"

// The first letter says as what the rest is read: p for PLY, s for STL.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::span<const uint8_t> bytes(data + 1, size - 1);
  const auto mesh =
      data[0] == 'p' ? manyform::ParsePly(bytes, "fuzz.ply") : manyform::ParseStl(bytes, "fuzz.stl");
  if (mesh.ok() && mesh->faces.rows() > 0 && !manyform::ValidateMesh(*mesh).ok()) __builtin_trap();
  return 0;
}

#include "data/point_reader.h"

// The first byte chooses the format.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const char* const kNames[] = {"fuzz.ply", "fuzz.npy", "fuzz.xyz", "fuzz.pts"};
  if (size == 0) return 0;
  const auto cloud = manyform::ParsePoints({data + 1, size - 1}, kNames[data[0] % 4]);
  if (!cloud.ok()) return 0;
  if (cloud->xyz.rows() < 1 || !cloud->xyz.allFinite()) __builtin_trap();
  if (cloud->normals.rows() != 0 && cloud->normals.rows() != cloud->xyz.rows()) __builtin_trap();
  return 0;
}

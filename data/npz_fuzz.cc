#include "data/npz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto npz = manyform::NpzReader::FromBytes("fuzz.npz", {data, data + size});
  if (!npz.ok()) return 0;
  for (const manyform::NpzMember& member : npz->members()) {
    const auto array = npz->Read(member.name, /*verify=*/true);
    if (!array.ok()) continue;
    (void)array->Values<float>();
    (void)array->Values<int32_t>();
    (void)array->Strings();
  }
  return 0;
}

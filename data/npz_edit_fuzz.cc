// What is edited opens again, with the array that was added and the others as they were.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "data/npz.h"
#include "data/npz_edit.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using manyform::NpzReader;
  const std::vector<manyform::NamedArray> added = {{"added", manyform::MakeArray<int32_t>({1, 2, 3}, {3})}};
  const auto edited = manyform::EditNpz("fuzz", {data, size}, added);
  const auto before = NpzReader::FromBytes("before", {data, data + size});
  if (!edited.ok() || !before.ok()) return 0;
  const auto after = NpzReader::FromBytes("after", {edited->begin(), edited->end()});
  if (!after.ok() || !after->Read("added", true).ok()) abort();
  for (const manyform::NpzMember& member : before->members()) {
    if (member.name == "added") continue;
    const auto a = before->Read(member.name, true), b = after->Read(member.name, true);
    if (a.ok() != b.ok() || (a.ok() && (a->shape != b->shape || a->dtype != b->dtype))) abort();
  }
  return 0;
}

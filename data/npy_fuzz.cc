#include <cstdint>
#include <cstdlib>
#include <vector>

#include "data/npy.h"

namespace {

using manyform::Array;
using manyform::NpyHeader;

// What was read, written by us and read again, is the same header.
void CheckRoundTrip(const NpyHeader& header) {
  Array array;
  array.dtype = header.dtype;
  array.item_size = header.item_size;
  array.shape = header.shape;
  array.fortran_order = header.fortran_order;
  const std::string npy = EncodeNpyHeader(array);
  const auto again =
      manyform::ParseNpyHeader({reinterpret_cast<const uint8_t*>(npy.data()), npy.size()}, "again");
  if (!again.ok() || again->dtype != header.dtype || again->item_size != header.item_size ||
      again->shape != header.shape || again->fortran_order != header.fortran_order ||
      again->data_size != header.data_size || again->header_size != npy.size()) {
    abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto header = manyform::ParseNpyHeader({data, size}, "fuzz.npy");
  if (!header.ok()) return 0;
  if (header->header_size > size) abort();
  CheckRoundTrip(*header);
  if (header->data_size > size - header->header_size) return 0;
  Array array;
  array.dtype = header->dtype;
  array.item_size = header->item_size;
  array.shape = header->shape;
  array.fortran_order = header->fortran_order;
  // Of exactly the promised size, so that a step beyond it is seen.
  const std::vector<uint8_t> elements(data + header->header_size,
                                      data + header->header_size + header->data_size);
  array.data = elements.data();
  (void)array.Values<float>();
  (void)array.Values<int64_t>();
  (void)array.Strings();
  return 0;
}

#include "data/hdf5_reader.h"

// The library leaks, and asks for sizes that damage has written; both end well.
// NOLINTNEXTLINE(bugprone-reserved-identifier): the sanitizer's name.
extern "C" const char* __asan_default_options() { return "detect_leaks=0:allocator_may_return_null=1"; }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto scans = manyform::Hdf5Scans::FromBytes("fuzz.h5", {data, size});
  if (!scans.ok()) return 0;
  for (int64_t row = 0; row < (*scans)->num_scans(); row += 1 + row) {
    const auto points = (*scans)->Scan(row);
    if (points.ok() && points->rows() != (*scans)->points_per_scan()) __builtin_trap();
  }
  return 0;
}

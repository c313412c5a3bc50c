#include "data/polygons.h"

namespace manyform {
namespace {

// Calls visit(first corner, size) for each polygon whose size is in [least, most].
template <class Visit>
void ForEachOfSize(std::span<const int32_t> sizes, int32_t least, int32_t most, Visit visit) {
  int64_t first = 0;
  for (const int32_t size : sizes) {
    if (size >= least && size <= most) visit(first, size);
    first += size;
  }
}

void Fan(int64_t first, int32_t size, std::vector<int64_t>* corners) {
  for (int32_t k = 1; k + 1 < size; ++k) corners->insert(corners->end(), {first, first + k, first + k + 1});
}

}  // namespace

std::vector<int64_t> Triangulate(std::span<const int32_t> sizes, TriangleOrder order) {
  int64_t count = 0;
  for (const int32_t size : sizes) count += size < 3 ? 0 : size - 2;
  std::vector<int64_t> corners;
  corners.reserve(3 * count);
  const auto first_half = [&](int64_t at) { corners.insert(corners.end(), {at, at + 1, at + 2}); };
  const auto second_half = [&](int64_t at) { corners.insert(corners.end(), {at + 2, at + 3, at}); };
  if (order == TriangleOrder::kInPlace) {
    ForEachOfSize(sizes, 3, INT32_MAX, [&](int64_t at, int32_t size) {
      if (size != 4) return Fan(at, size, &corners);
      first_half(at);
      second_half(at);
    });
    return corners;
  }
  ForEachOfSize(sizes, 3, 3, [&](int64_t at, int32_t) { first_half(at); });
  ForEachOfSize(sizes, 4, 4, [&](int64_t at, int32_t) { first_half(at); });
  ForEachOfSize(sizes, 4, 4, [&](int64_t at, int32_t) { second_half(at); });
  ForEachOfSize(sizes, 5, INT32_MAX, [&](int64_t at, int32_t size) { Fan(at, size, &corners); });
  return corners;
}

}  // namespace manyform

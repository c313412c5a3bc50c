#include "geometry/morton.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace manyform {
namespace {

uint32_t MortonCell(float x) {
  const float scaled = (x * 0.5f + 0.5f) * 1023.0f;
  // Written so that NaN clamps to 0.
  return static_cast<uint32_t>(scaled > 0 ? std::min(scaled, 1023.0f) : 0.0f);
}

// Bits of a 10-bit number moved to every third place.
uint32_t SpreadBits(uint32_t v) {
  v = (v | v << 16) & 0x030000FF;
  v = (v | v << 8) & 0x0300F00F;
  v = (v | v << 4) & 0x030C30C3;
  return (v | v << 2) & 0x09249249;
}

struct Coded {
  uint32_t code;
  int32_t index;
};

}  // namespace

uint32_t MortonCode(const float* p) {
  return SpreadBits(MortonCell(p[0])) | SpreadBits(MortonCell(p[1])) << 1 | SpreadBits(MortonCell(p[2])) << 2;
}

std::vector<uint32_t> MortonCodes(const PointsFRef& points) {
  std::vector<uint32_t> codes(points.rows());
  for (Eigen::Index i = 0; i < points.rows(); ++i) codes[i] = MortonCode(points.row(i).data());
  return codes;
}

std::vector<int32_t> MortonOrder(const PointsFRef& points) {
  const std::vector<uint32_t> codes = MortonCodes(points);
  std::vector<Coded> from(codes.size()), to(codes.size());
  for (size_t i = 0; i < codes.size(); ++i) from[i] = {codes[i], static_cast<int32_t>(i)};
  // Counting sort by ten bits at a time, least significant first; each pass is stable.
  for (int shift = 0; shift < 30; shift += 10) {
    std::array<size_t, 1025> start{};
    for (const Coded& c : from) ++start[(c.code >> shift & 1023) + 1];
    for (size_t d = 1; d < start.size(); ++d) start[d] += start[d - 1];
    for (const Coded& c : from) to[start[c.code >> shift & 1023]++] = c;
    std::swap(from, to);
  }
  std::vector<int32_t> order(codes.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = from[i].index;
  return order;
}

}  // namespace manyform

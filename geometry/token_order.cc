#include "geometry/token_order.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

namespace manyform {
namespace {

struct Angles {
  float azimuth, polar;
  bool operator<(const Angles& other) const {
    return azimuth < other.azimuth || (azimuth == other.azimuth && polar < other.polar);
  }
};

Angles AnglesOf(const float* d) {
  const float norm = std::sqrt((d[0] * d[0] + d[1] * d[1]) + d[2] * d[2]) + 1e-9f;
  return {std::atan2(d[1] / norm, d[0] / norm), std::acos(std::clamp(d[2] / norm, -1.0f, 1.0f))};
}

// In [-2, 2], growing with the azimuth at least half as fast. Not a number for directions without one.
float PseudoAzimuth(float x, float y) { return std::copysign(1 - x / (std::abs(x) + std::abs(y)), y); }
// Pseudo azimuths further apart than this are azimuths in the same order, whatever a library rounds. A sign
// of y decides at the azimuth's jump as it does for atan2.
constexpr float kSurelyApart = 1e-5f;

// Unsigned numbers in the order of the floats.
uint32_t Sortable(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}
float FromSortable(uint32_t bits) {
  return std::bit_cast<float>((bits & 0x80000000u) != 0 ? bits & 0x7fffffffu : ~bits);
}

// For what has no azimuth, is tiny or is not finite.
void SortByAngles(const PointsFRef& directions, std::vector<int32_t>* order) {
  std::vector<Angles> angles(directions.rows());
  for (Eigen::Index i = 0; i < directions.rows(); ++i) angles[i] = AnglesOf(directions.row(i).data());
  std::iota(order->begin(), order->end(), 0);
  std::stable_sort(order->begin(), order->end(), [&](int32_t a, int32_t b) { return angles[a] < angles[b]; });
}

// Rays whose azimuths may be equal: few, next to one another.
void SortRun(const PointsFRef& directions, std::span<int32_t> run) {
  std::vector<std::pair<Angles, int32_t>> exact;
  exact.reserve(run.size());
  for (const int32_t i : run) exact.emplace_back(AnglesOf(directions.row(i).data()), i);
  std::sort(exact.begin(), exact.end(), [](const auto& a, const auto& b) {
    return a.first < b.first || (!(b.first < a.first) && a.second < b.second);
  });
  for (size_t i = 0; i < run.size(); ++i) run[i] = exact[i].second;
}

}  // namespace

std::vector<int32_t> RayOrder(const PointsFRef& directions) {
  TokenOrder order;
  const std::span<const int32_t> sorted = order.Rays(directions);
  return {sorted.begin(), sorted.end()};
}

void TokenOrder::SortKeys() {
  // Counting sort by eight bits at a time, all counted in one pass.
  std::array<std::array<uint32_t, 256>, 4> count{};
  for (const uint64_t key : keys_) {
    for (int digit = 0; digit < 4; ++digit) ++count[digit][key >> (32 + 8 * digit) & 255];
  }
  sorted_.resize(keys_.size());
  for (int digit = 0; digit < 4; ++digit) {
    uint32_t start = 0;
    for (uint32_t& c : count[digit]) start += std::exchange(c, start);
    for (const uint64_t key : keys_) sorted_[count[digit][key >> (32 + 8 * digit) & 255]++] = key;
    std::swap(keys_, sorted_);
  }
  order_.resize(keys_.size());
  for (size_t i = 0; i < keys_.size(); ++i) order_[i] = static_cast<int32_t>(keys_[i]);
}

std::span<const int32_t> TokenOrder::Morton(const PointsFRef& points) {
  keys_.resize(points.rows());
  for (size_t i = 0; i < keys_.size(); ++i) {
    keys_[i] = static_cast<uint64_t>(MortonCode(points.row(static_cast<Eigen::Index>(i)).data())) << 32 | i;
  }
  SortKeys();
  return order_;
}

std::span<const int32_t> TokenOrder::Rays(const PointsFRef& directions) {
  const auto n = static_cast<size_t>(directions.rows());
  keys_.resize(n);
  bool regular = true;
  for (size_t i = 0; i < n; ++i) {
    const float* d = directions.row(static_cast<Eigen::Index>(i)).data();
    const float length = std::abs(d[0]) + std::abs(d[1]);
    // Their quotients are free of underflow and of the 1e-9 that is added to the norm.
    regular &= (length > 1e-3f) & (length < 1e3f) & (std::abs(d[2]) < 1e3f);
    keys_[i] = static_cast<uint64_t>(Sortable(PseudoAzimuth(d[0], d[1]))) << 32 | i;
  }
  if (!regular) {
    order_.resize(n);
    SortByAngles(directions, &order_);
    return order_;
  }
  SortKeys();
  for (size_t begin = 0; begin < n;) {
    size_t end = begin + 1;
    const auto azimuth = [&](size_t i) { return FromSortable(static_cast<uint32_t>(keys_[i] >> 32)); };
    while (end < n && azimuth(end) - azimuth(end - 1) <= kSurelyApart) ++end;
    if (end - begin > 1) SortRun(directions, std::span(order_).subspan(begin, end - begin));
    begin = end;
  }
  return order_;
}

}  // namespace manyform

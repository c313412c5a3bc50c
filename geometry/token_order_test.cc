#include "geometry/token_order.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <vector>

#include "geometry/testing/golden.h"
#include "geometry/testing/shapes.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

std::vector<int32_t> Order(std::span<const int32_t> order) { return {order.begin(), order.end()}; }

TEST(Golden, Orders) {
  const Golden golden("c_tokens/ordering");
  const std::vector<int32_t> rays = RayOrder(golden.PointsOf("ray_d"));
  EXPECT_EQ(std::vector<int64_t>(rays.begin(), rays.end()), golden.Longs("ray_order"));
  TokenOrder order;
  const PointsF xyz = golden.PointsOf("xyz");
  EXPECT_EQ(Order(order.Morton(xyz)), MortonOrder(xyz));
}

// The definition: angles of every ray, sorted.
std::vector<int32_t> PlainRayOrder(const PointsF& d) {
  std::vector<std::tuple<float, float, int32_t>> keys;
  for (Eigen::Index i = 0; i < d.rows(); ++i) {
    const float norm = std::sqrt((d(i, 0) * d(i, 0) + d(i, 1) * d(i, 1)) + d(i, 2) * d(i, 2)) + 1e-9f;
    // Adding zero makes -0 the 0 that it equals.
    keys.emplace_back(std::atan2(d(i, 1) / norm, d(i, 0) / norm) + 0.0f,
                      std::acos(std::clamp(d(i, 2) / norm, -1.0f, 1.0f)), static_cast<int32_t>(i));
  }
  std::sort(keys.begin(), keys.end());
  std::vector<int32_t> order;
  order.reserve(keys.size());
  for (const auto& key : keys) order.push_back(std::get<2>(key));
  return order;
}

TEST(RayOrder, GoesRoundByAzimuthThenDown) {
  PointsF d(5, 3);
  d << 0, 1, 0, -1, -1e-3f, 0, 1, 0, 0, 1, 0, 1, 0, 0, 0;
  EXPECT_EQ(RayOrder(d), (std::vector<int32_t>{1, 3, 2, 4, 0}));
}

TEST(RayOrder, EqualsTheDefinition) {
  NumpyRandomState random(7);
  for (const int n : {0, 1, 2, 256, 5000}) {
    const PointsF d = RandomDirections(n, random);
    EXPECT_EQ(RayOrder(d), PlainRayOrder(d)) << n;
  }
  // Azimuths closer to one another than rounding, equal ones with other heights, and both sides of the jump.
  PointsF crowded(4000, 3);
  for (Eigen::Index i = 0; i < crowded.rows(); ++i) {
    const double base = static_cast<double>(random.RandInt(-4, 5)) * M_PI / 4;
    const double azimuth = base + (random.RandInt(0, 2) == 0 ? 0.0 : 3e-6 * (random.Double() - 0.5));
    const double z = static_cast<double>(random.RandInt(-3, 4)) / 4, r = std::sqrt(1 - z * z);
    crowded.row(i) << static_cast<float>(r * std::cos(azimuth)), static_cast<float>(r * std::sin(azimuth)),
        static_cast<float>(z);
  }
  EXPECT_EQ(RayOrder(crowded), PlainRayOrder(crowded));
  // A lattice of directions with zeros of either sign, along the axes and the poles.
  for (const bool poles : {false, true}) {
    PointsF lattice(3000, 3);
    for (Eigen::Index i = 0; i < lattice.rows(); ++i) {
      for (int k = 0; k < 3; ++k) {
        const auto v = static_cast<float>(random.RandInt(-2, 3));
        lattice(i, k) = v == 0 && random.RandInt(0, 2) == 0 ? -0.0f : v;
      }
      if (!poles && lattice(i, 0) == 0 && lattice(i, 1) == 0) lattice(i, 0) = -1;
    }
    EXPECT_EQ(RayOrder(lattice), PlainRayOrder(lattice)) << poles;
  }
}

TEST(TokenOrder, KeepsNothingOfTheCallBefore) {
  NumpyRandomState random(8);
  TokenOrder order;
  for (const int n : {300, 5, 0, 70, 1000}) {
    const PointsF points = RandomPoints(n, 1.2, random), d = RandomDirections(n, random);
    EXPECT_EQ(Order(order.Morton(points)), MortonOrder(points)) << n;
    EXPECT_EQ(Order(order.Rays(d)), PlainRayOrder(d)) << n;
  }
  EXPECT_EQ(Order(order.Morton(PointsF::Constant(100, 3, 0.3f))).back(), 99);
}

}  // namespace
}  // namespace manyform

#include "data/shape_picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>

#include "data/npz.h"
#include "geometry/grid.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr int kSize = 128, kGap = 6, kGrid = 32;
constexpr float kRadius = 0.5f;

AuditArray Column(const std::vector<float>& values) {
  return {DType::kF32, {static_cast<int64_t>(values.size())}, values};
}
AuditArray Rows(const std::vector<float>& values) {
  return {DType::kF32, {static_cast<int64_t>(values.size()) / 3, 3}, values};
}

// A sphere about the origin as every form knows it: points on it, a pool with exact distances on a lattice,
// its field, and rays from outside straight to the centre.
std::map<std::string, AuditArray> Sphere() {
  std::vector<float> cloud, normals, pool, distance, origins, directions, t, hit;
  for (int i = 0; i < 3000; ++i) {
    const double z = 1 - (2 * i + 1) / 3000.0, a = i * 2.399963229728653, r = std::sqrt(1 - z * z);
    for (const double v : {r * std::cos(a), r * std::sin(a), z}) {
      cloud.push_back(static_cast<float>(kRadius * v));
      normals.push_back(static_cast<float>(v));
      origins.push_back(static_cast<float>(2 * v));
      directions.push_back(static_cast<float>(-v));
    }
    t.push_back(2 - kRadius);
    hit.push_back(i % 2 == 0 ? 1.0f : 0.0f);
  }
  const PointsF lattice = GridCentres(60);
  pool.assign(lattice.data(), lattice.data() + lattice.size());
  for (int64_t i = 0; i < lattice.rows(); ++i) distance.push_back(std::abs(lattice.row(i).norm() - kRadius));
  std::vector<float> field, occupied;
  const PointsF centres = GridCentres(kGrid);
  for (int64_t i = 0; i < centres.rows(); ++i) {
    field.push_back(std::abs(centres.row(i).norm() - kRadius));
    occupied.push_back(field.back() < VoxelSize(kGrid) ? 1.0f : 0.0f);
  }
  return {{"pc_xyz", Rows(cloud)},
          {"pc_n", Rows(normals)},
          {"pt_xyz_pool", Rows(pool)},
          {"pt_dist_pool", Column(distance)},
          {"pt_dist_pc_pool", Column(distance)},
          {"udf_grid", {DType::kF32, {kGrid, kGrid, kGrid}, field}},
          {"occ_grid", {DType::kU8, {kGrid, kGrid, kGrid}, occupied}},
          {"ray_o_pool", Rows(origins)},
          {"ray_d_pool", Rows(directions)},
          {"ray_n_pool", Rows(normals)},
          {"ray_t_pool", Column(t)},
          {"ray_hit_pool", Column(hit)},
          {"ray_n_pc_pool", Rows(normals)},
          {"ray_t_pc_pool", Column(t)},
          {"ray_hit_pc_pool", Column(std::vector<float>(3000, 0.0f))}};
}

// One panel of the picture: colours by position in [-1,1]^2, y upwards.
class Panel {
 public:
  Panel(const Image& image, int column, int row)
      : image_(image), left_(column * (kSize + kGap)), top_(row * (kSize + kGap)) {}
  std::array<int, 3> Pixel(int x, int y) const {
    const size_t at = (static_cast<size_t>(top_ + y) * image_.width + left_ + x) * 3;
    return {image_.rgb[at], image_.rgb[at + 1], image_.rgb[at + 2]};
  }
  std::array<int, 3> At(double x, double y) const {
    return Pixel(static_cast<int>((x + 1) / 2 * kSize), static_cast<int>((1 - y) / 2 * kSize));
  }
  double Brightness(double x, double y) const {
    const auto c = At(x, y);
    return 0.2 * c[0] + 0.7 * c[1] + 0.1 * c[2];
  }
  // Pixels that are not background.
  int Inked() const {
    int count = 0;
    for (int y = 0; y < kSize; ++y) {
      for (int x = 0; x < kSize; ++x) count += Pixel(x, y)[0] < 235 ? 1 : 0;
    }
    return count;
  }

 private:
  const Image& image_;
  int left_, top_;
};

Image Draw(std::map<std::string, AuditArray> arrays, int up_axis = 1) {
  return *PictureOfShape(AuditArrays(std::move(arrays)), {kSize, up_axis});
}

TEST(PictureOfShape, HasAPanelForEverythingThereIs) {
  const Image image = Draw(Sphere());
  EXPECT_EQ(image.width, 4 * kSize + 3 * kGap);
  EXPECT_EQ(image.height, 3 * kSize + 2 * kGap);
  EXPECT_EQ(image.rgb.size(), static_cast<size_t>(image.width) * image.height * 3);
}

TEST(PictureOfShape, AScanHasFewer) {
  std::map<std::string, AuditArray> scan;
  for (const auto& [name, array] : Sphere()) {
    if (name == "pc_xyz" || name == "pt_xyz_pool" || name == "pt_dist_pool") scan[name] = array;
  }
  const Image image = Draw(scan);
  EXPECT_EQ(image.width, 3 * kSize + 2 * kGap);
  EXPECT_EQ(image.height, 2 * kSize + kGap);
  scan.erase("pt_xyz_pool");
  EXPECT_EQ(Draw(scan).height, kSize);
  scan.erase("pc_xyz");
  EXPECT_EQ(PictureOfShape(AuditArrays(scan), {}).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(PictureOfShape, TheCloudOfASphereIsADisc) {
  const Image image = Draw(Sphere());
  for (const int column : {0, 1, 2}) {
    const Panel panel(image, column, 0);
    const int inked = panel.Inked();
    // The disc that fills as much of the frame in every direction.
    int left = kSize, right = 0, top = kSize, bottom = 0;
    for (int y = 0; y < kSize; ++y) {
      for (int x = 0; x < kSize; ++x) {
        if (panel.Pixel(x, y)[0] >= 235) continue;
        left = std::min(left, x), right = std::max(right, x), top = std::min(top, y),
        bottom = std::max(bottom, y);
      }
    }
    EXPECT_NEAR(right - left, bottom - top, 2) << column;
    EXPECT_NEAR(left + right, kSize - 1, 2) << column;
    const double area = M_PI / 4 * (right - left + 1) * (bottom - top + 1);
    EXPECT_NEAR(inked / area, 1, 0.06) << column;
  }
  // No ray of the point cloud hits.
  EXPECT_EQ(Panel(image, 3, 0).Inked(), 0);
}

TEST(PictureOfShape, TheFieldOfASphereIsRadial) {
  const Image image = Draw(Sphere());
  for (const int column : {0, 1, 2}) {
    const Panel panel(image, column, 2);
    for (int y = 0; y < kSize / 2; ++y) {
      for (int x = 0; x < kSize / 2; ++x) {
        const int xx = kSize - 1 - x, yy = kSize - 1 - y;
        const auto c = panel.Pixel(x, y);
        for (const auto& other :
             {panel.Pixel(xx, y), panel.Pixel(x, yy), panel.Pixel(xx, yy), panel.Pixel(y, x)}) {
          for (int k = 0; k < 3; ++k) ASSERT_NEAR(c[k], other[k], 2) << x << " " << y;
        }
      }
    }
    // Darkest on the sphere; brighter with the distance on both sides; as bright at equal distances.
    const double on = panel.Brightness(kRadius, 0), half_in = panel.Brightness(0.2, 0);
    EXPECT_LT(on, half_in);
    EXPECT_LT(half_in, panel.Brightness(0, 0));
    EXPECT_LT(on, panel.Brightness(0.8, 0));
    EXPECT_NEAR(half_in, panel.Brightness(0.8, 0), 12);
    EXPECT_NEAR(panel.Brightness(0.2, 0), panel.Brightness(0.2 * M_SQRT1_2, 0.2 * M_SQRT1_2), 12);
  }
  // The occupied shell.
  const Panel occupied(image, 3, 2);
  EXPECT_GT(occupied.Brightness(kRadius, 0), occupied.Brightness(0, 0) + 50);
  EXPECT_GT(occupied.Brightness(0, -kRadius), occupied.Brightness(0.8, 0.8) + 50);
}

TEST(PictureOfShape, ThePoolIsColouredAsTheField) {
  const Image image = Draw(Sphere());
  const Panel pool(image, 0, 1), field(image, 0, 2);
  int compared = 0;
  for (int column = -9; column <= 9; ++column) {
    for (int row = -9; row <= 9; ++row) {
      const double x = 0.1 * column, y = 0.1 * row;
      const double distance = std::abs(std::hypot(x, y) - kRadius);
      if (distance < 0.2) continue;  // the field's line runs there
      EXPECT_NEAR(pool.Brightness(x, y), field.Brightness(x, y), 14) << x << " " << y;
      ++compared;
    }
  }
  EXPECT_GT(compared, 100);
  for (int k = 0; k < kSize; k += 7) EXPECT_EQ(pool.Pixel(k, k), Panel(image, 3, 1).Pixel(k, k));
}

// A slab above the middle along y only.
TEST(PictureOfShape, UpIsUp) {
  std::map<std::string, AuditArray> arrays = Sphere();
  const PointsF centres = GridCentres(kGrid);
  for (int axis = 0; axis < 3; ++axis) {
    for (int64_t i = 0; i < centres.rows(); ++i)
      arrays["udf_grid"].values[i] = centres(i, axis) > 0 ? 1.0f : 0.0f;
    const Image image = Draw(arrays, axis);
    for (const int column : {0, 1}) {
      const Panel panel(image, column, 2);
      EXPECT_GT(panel.Brightness(0.3, 0.5), panel.Brightness(0.3, -0.5) + 80);
      EXPECT_EQ(panel.At(0.5, 0.5), panel.At(-0.5, 0.5));
    }
    const Panel along(image, 2, 2);
    EXPECT_EQ(along.At(0.5, 0.5), along.At(-0.5, -0.5));
  }
}

TEST(MiddleLayer, IsTheLayerOrTheMeanOfTwo) {
  for (const int g : {4, 5}) {
    std::vector<float> grid(g * g * g);
    const auto value = [](int x, int y, int z) { return static_cast<float>(x + 10 * y + 100 * z); };
    for (int x = 0; x < g; ++x) {
      for (int y = 0; y < g; ++y) {
        for (int z = 0; z < g; ++z) grid[(x * g + y) * g + z] = value(x, y, z);
      }
    }
    const float middle = static_cast<float>(g - 1) / 2;
    const std::vector<float> xy = MiddleLayer(grid, g, 0, 1), zy = MiddleLayer(grid, g, 2, 1);
    for (int up = 0; up < g; ++up) {
      for (int right = 0; right < g; ++right) {
        EXPECT_EQ(xy[up * g + right], static_cast<float>(right + 10 * up) + 100 * middle);
        EXPECT_EQ(zy[up * g + right], middle + static_cast<float>(10 * up + 100 * right));
      }
    }
  }
}

}  // namespace
}  // namespace manyform

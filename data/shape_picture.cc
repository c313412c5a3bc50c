#include "data/shape_picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "geometry/grid.h"
#include "geometry/render.h"

namespace manyform {
namespace {

constexpr int kGap = 6;
// Of the pool, what lies this near a plane is drawn in it.
constexpr float kSlab = 0.06f;
constexpr std::array<uint8_t, 3> kMeshColor = {104, 151, 196}, kCloudColor = {222, 137, 69};

struct Plane {
  int right, up, normal;
};

// The up axis stands upright where it lies in the plane.
std::array<Plane, 3> Planes(int up_axis) {
  const int a = (up_axis + 1) % 3, b = (up_axis + 2) % 3;
  return {{{b, up_axis, a}, {a, up_axis, b}, {a, b, up_axis}}};
}

Image Below(const Image& top, const Image& bottom) {
  Image joined{std::max(top.width, bottom.width), top.height + kGap + bottom.height, {}};
  joined.rgb.assign(static_cast<size_t>(joined.width) * joined.height * 3, 255);
  int y0 = 0;
  for (const Image* image : {&top, &bottom}) {
    for (int y = 0; y < image->height; ++y) {
      std::copy_n(image->rgb.begin() + static_cast<size_t>(y) * image->width * 3, image->width * 3,
                  joined.rgb.begin() + static_cast<size_t>(y0 + y) * joined.width * 3);
    }
    y0 += image->height + kGap;
  }
  return joined;
}

class Painter {
 public:
  Painter(const AuditArrays& arrays, const ShapePictureOptions& options)
      : arrays_(arrays), options_(options), planes_(Planes(options.up_axis)) {}

  absl::StatusOr<Image> Paint() const {
    const Eigen::Map<const PointsF> cloud = arrays_.Points("pc_xyz");
    if (cloud.rows() == 0) return absl::FailedPreconditionError("array pc_xyz is missing: nothing to draw");
    std::vector<Image> first = {Cloud(cloud, Normals(cloud.rows()), 40, kMeshColor),
                                Cloud(cloud, Normals(cloud.rows()), 220, kMeshColor)};
    if (arrays_.Has("ray_hit_pool"))
      first.push_back(Hits("ray_hit_pool", "ray_t_pool", "ray_n_pool", kMeshColor));
    if (arrays_.Has("ray_hit_pc_pool")) {
      first.push_back(Hits("ray_hit_pc_pool", "ray_t_pc_pool", "ray_n_pc_pool", kCloudColor));
    }
    Image picture = JoinHorizontally(first, kGap);
    for (const std::vector<Image>& row : {PoolRow(), FieldRow()}) {
      if (!row.empty()) picture = Below(picture, JoinHorizontally(row, kGap));
    }
    return picture;
  }

 private:
  std::optional<PointsF> Normals(int64_t rows) const {
    const Eigen::Map<const PointsF> normals = arrays_.Points("pc_n");
    if (normals.rows() != rows) return std::nullopt;
    return PointsF(normals);
  }

  Image Cloud(const PointsFRef& points, const std::optional<PointsF>& normals, double azimuth,
              const std::array<uint8_t, 3>& color) const {
    RenderOptions render;
    render.width = render.height = options_.size;
    render.azimuth = azimuth;
    render.up_axis = options_.up_axis;
    render.auto_fit = false;
    render.color = color;
    return RenderPoints(points, normals, render, 0.022);
  }

  // Where rays say that they hit.
  Image Hits(std::string_view hit_name, std::string_view t_name, std::string_view n_name,
             const std::array<uint8_t, 3>& color) const {
    const AuditArray *hit = arrays_.Find(hit_name), *t = arrays_.Find(t_name);
    const Eigen::Map<const PointsF> o = arrays_.Points("ray_o_pool"), d = arrays_.Points("ray_d_pool"),
                                    n = arrays_.Points(n_name);
    const size_t rays = static_cast<size_t>(o.rows());
    PointsF points(o.rows(), 3), normals = PointsF::Zero(o.rows(), 3);
    int64_t hits = 0;
    if (t != nullptr && hit->values.size() == rays && t->values.size() == rays && d.rows() == o.rows()) {
      for (int64_t i = 0; i < o.rows(); ++i) {
        if (!(hit->values[i] > 0.5f)) continue;
        if (n.rows() == o.rows()) normals.row(hits) = n.row(i);
        points.row(hits++) = o.row(i) + t->values[i] * d.row(i);
      }
    }
    points.conservativeResize(hits, 3);
    normals.conservativeResize(hits, 3);
    return Cloud(points, normals, 40, color);
  }

  SliceOptions Slice() const {
    SliceOptions slice;
    slice.width = slice.height = options_.size;
    slice.contour = std::nullopt;
    return slice;
  }

  // Dots of the pool's points near the plane, coloured by their distance, the rest grey.
  Image PoolSlice(const AuditArray& distance, const Plane& plane) const {
    const Eigen::Map<const PointsF> pool = arrays_.Points("pt_xyz_pool");
    const int size = options_.size, radius = std::max(1, size / 110);
    std::vector<float> values(static_cast<size_t>(size) * size, std::numeric_limits<float>::quiet_NaN());
    for (int64_t i = 0; i < pool.rows(); ++i) {
      if (!pool.row(i).allFinite() || std::abs(pool(i, plane.normal)) > kSlab) continue;
      const int cx =
          static_cast<int>(std::floor((pool(i, plane.right) + 1) * 0.5f * static_cast<float>(size)));
      const int cy = static_cast<int>(std::floor((pool(i, plane.up) + 1) * 0.5f * static_cast<float>(size)));
      for (int y = std::max(0, cy - radius); y <= std::min(size - 1, cy + radius); ++y) {
        for (int x = std::max(0, cx - radius); x <= std::min(size - 1, cx + radius); ++x) {
          values[static_cast<size_t>(y) * size + x] = distance.values[i];
        }
      }
    }
    return RenderSlice(values, size, size, Slice());
  }

  std::vector<Image> PoolRow() const {
    const auto usable = [&](std::string_view name) -> const AuditArray* {
      const AuditArray* array = arrays_.Find(name);
      const auto points = static_cast<size_t>(arrays_.Points("pt_xyz_pool").rows());
      return array != nullptr && points > 0 && array->values.size() == points ? array : nullptr;
    };
    std::vector<Image> row;
    const AuditArray *mesh = usable("pt_dist_pool"), *cloud = usable("pt_dist_pc_pool");
    const AuditArray* main = mesh != nullptr ? mesh : cloud;
    if (main == nullptr) return row;
    for (const Plane& plane : planes_) row.push_back(PoolSlice(*main, plane));
    if (mesh != nullptr && cloud != nullptr) row.push_back(PoolSlice(*cloud, planes_[0]));
    return row;
  }

  static int Side(const AuditArray* grid) {
    if (grid == nullptr || grid->shape.size() != 3 || grid->shape[0] < 2) return 0;
    if (grid->shape[0] != grid->shape[1] || grid->shape[1] != grid->shape[2]) return 0;
    const int64_t g = grid->shape[0];
    return static_cast<int64_t>(grid->values.size()) == g * g * g && g <= kMaxGridSide ? static_cast<int>(g)
                                                                                       : 0;
  }

  std::vector<Image> FieldRow() const {
    std::vector<Image> row;
    const AuditArray *field = arrays_.Find("udf_grid"), *occupancy = arrays_.Find("occ_grid");
    if (const int g = Side(field); g > 0) {
      SliceOptions slice = Slice();
      slice.contour = 2 * VoxelSize(g);
      for (const Plane& p : planes_)
        row.push_back(RenderSlice(MiddleLayer(field->values, g, p.right, p.up), g, g, slice));
    }
    if (const int g = Side(occupancy); g > 0) {
      row.push_back(
          RenderSlice(MiddleLayer(occupancy->values, g, planes_[0].right, planes_[0].up), g, g, Slice()));
    }
    return row;
  }

  const AuditArrays& arrays_;
  const ShapePictureOptions options_;
  const std::array<Plane, 3> planes_;
};

}  // namespace

std::vector<float> MiddleLayer(std::span<const float> grid, int g, int right, int up) {
  const int normal = 3 - right - up;
  const std::array<int64_t, 3> stride = {int64_t{g} * g, g, 1};
  const int64_t first = (g - 1) / 2, second = g / 2;
  std::vector<float> layer(static_cast<size_t>(g) * g);
  for (int64_t y = 0; y < g; ++y) {
    for (int64_t x = 0; x < g; ++x) {
      const int64_t at = x * stride[right] + y * stride[up];
      layer[y * g + x] = 0.5f * (grid[at + first * stride[normal]] + grid[at + second * stride[normal]]);
    }
  }
  return layer;
}

absl::StatusOr<Image> PictureOfShape(const AuditArrays& arrays, const ShapePictureOptions& options) {
  return Painter(arrays, options).Paint();
}

}  // namespace manyform

#include "geometry/render.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <optional>
#include <vector>

#include "Eigen/Geometry"
#include "geometry/render_color.h"

namespace manyform {
namespace {

using Eigen::Vector3d;
using Eigen::Vector3f;

constexpr int kSamples = 2;        // per pixel and side
constexpr double kDistance = 3.6;  // of the camera from the middle, in radii of the fitted shape
constexpr double kNear = 0.05;

// World to camera: x right, y up, z away from the camera; then perspective onto samples.
class Camera {
 public:
  Camera(const RenderOptions& options, const PointsD& shape) {
    width_ = options.width * kSamples;
    height_ = options.height * kSamples;
    const double a = options.azimuth * std::numbers::pi / 180, e = options.elevation * std::numbers::pi / 180;
    // The up axis last, the other two in cyclic order.
    const int up = std::clamp(options.up_axis, 0, 2);
    Vector3d from, up_vector = Vector3d::Unit(up);
    from[(up + 1) % 3] = std::cos(e) * std::cos(a);
    from[(up + 2) % 3] = std::cos(e) * std::sin(a);
    from[up] = std::sin(e);
    if (up_vector.cross(from).norm() < 1e-6) up_vector = Vector3d::Unit((up + 1) % 3);
    const Vector3d right = up_vector.cross(from).normalized();
    rotation_ << right.transpose(), from.cross(right).transpose(), -from.transpose();
    if (options.auto_fit) Fit(shape);
    const double half_angle = std::asin(1 / kDistance) * (options.auto_fit ? 1.04 : 1.35);
    focal_ = std::min(width_, height_) / 2.0 / std::tan(half_angle);
  }
  Vector3d ToView(const Vector3d& world) const {
    Vector3d view = rotation_ * ((world - centre_) * scale_);
    view[2] += kDistance;
    return view;
  }
  Vector3d ToViewDirection(const Vector3d& world) const { return rotation_ * world; }
  double ScreenX(const Vector3d& view) const { return width_ * 0.5 + focal_ * view[0] / view[2]; }
  double ScreenY(const Vector3d& view) const { return height_ * 0.5 - focal_ * view[1] / view[2]; }
  Vector3d Up(const RenderOptions& options) const { return rotation_.col(std::clamp(options.up_axis, 0, 2)); }
  double focal() const { return focal_; }
  int width() const { return width_; }
  int height() const { return height_; }

 private:
  void Fit(const PointsD& shape) {
    const double infinity = std::numeric_limits<double>::infinity();
    Vector3d low = Vector3d::Constant(infinity), high = -low;
    for (Eigen::Index i = 0; i < shape.rows(); ++i) {
      if (!shape.row(i).allFinite()) continue;
      low = low.cwiseMin(shape.row(i).transpose());
      high = high.cwiseMax(shape.row(i).transpose());
    }
    if (!(low[0] <= high[0])) return;
    centre_ = low * 0.5 + high * 0.5;
    double radius = 0;
    for (Eigen::Index i = 0; i < shape.rows(); ++i) {
      if (shape.row(i).allFinite()) radius = std::max(radius, (shape.row(i).transpose() - centre_).norm());
    }
    if (radius > 0 && std::isfinite(radius)) scale_ = 1 / radius;
  }

  Eigen::Matrix3d rotation_;
  Vector3d centre_ = Vector3d::Zero();
  double scale_ = 1, focal_ = 1;
  int width_, height_;
};

// What a sample sees: inverse depth (0 is background) and its light.
class Canvas {
 public:
  Canvas(const RenderOptions& options, const Camera& camera)
      : width_(camera.width()),
        height_(camera.height()),
        color_(FromSrgb(options.color)),
        background_(FromSrgb(options.background)),
        up_(camera.Up(options)),
        nearness_(static_cast<size_t>(width_) * height_, 0.0f),
        light_(nearness_.size(), background_) {}

  bool IsNearer(int x, int y, double inverse_depth) const {
    return inverse_depth > nearness_[static_cast<size_t>(y) * width_ + x];
  }
  // `normal` in camera coordinates, unit length, turned towards the camera.
  void Set(int x, int y, double inverse_depth, const Vector3d& normal) {
    const size_t at = static_cast<size_t>(y) * width_ + x;
    nearness_[at] = static_cast<float>(inverse_depth);
    light_[at] = Shade(normal);
  }
  int width() const { return width_; }
  int height() const { return height_; }

  Image Develop() const {
    Image image{width_ / kSamples, height_ / kSamples, {}};
    image.rgb.reserve(static_cast<size_t>(image.width) * image.height * 3);
    for (int y = 0; y < image.height; ++y) {
      for (int x = 0; x < image.width; ++x) {
        Light sum = Light::Zero();
        for (int s = 0; s < kSamples * kSamples; ++s) {
          sum +=
              light_[static_cast<size_t>(y * kSamples + s / kSamples) * width_ + x * kSamples + s % kSamples];
        }
        const auto rgb = ToSrgb(sum / (kSamples * kSamples));
        image.rgb.insert(image.rgb.end(), rgb.begin(), rgb.end());
      }
    }
    return image;
  }

 private:
  Light Shade(const Vector3d& normal) const {
    static const Vector3d kKey = Vector3d(-0.45, 0.65, -0.62).normalized();
    static const Vector3d kFill = Vector3d(0.80, 0.10, -0.60).normalized();
    const double ambient = 0.24 + 0.12 * normal.dot(up_);
    const double lit =
        ambient + 0.78 * std::max(0.0, normal.dot(kKey)) + 0.26 * std::max(0.0, normal.dot(kFill));
    return color_ * static_cast<float>(std::max(lit, 0.0));
  }

  int width_, height_;
  Light color_, background_;
  Vector3d up_;
  std::vector<float> nearness_;
  std::vector<Light> light_;
};

// (3F,3) normals of the faces' corners: the mean of the adjacent faces that bend away by less than 40
// degrees.
PointsD CornerNormals(const PointsD& vertices, const Faces& faces) {
  const double kSmooth = std::cos(40 * std::numbers::pi / 180);
  PointsD weighted(faces.rows(), 3), unit(faces.rows(), 3);
  std::vector<int32_t> begin(vertices.rows() + 1, 0), around(faces.size());
  for (Eigen::Index f = 0; f < faces.rows(); ++f) {
    const Vector3d a = vertices.row(faces(f, 0)), b = vertices.row(faces(f, 1)),
                   c = vertices.row(faces(f, 2));
    weighted.row(f) = (b - a).cross(c - a);
    unit.row(f) = weighted.row(f).normalized();
    for (int k = 0; k < 3; ++k) ++begin[faces(f, k) + 1];
  }
  for (size_t v = 1; v < begin.size(); ++v) begin[v] += begin[v - 1];
  std::vector<int32_t> next(begin.begin(), begin.end() - 1);
  for (Eigen::Index f = 0; f < faces.rows(); ++f) {
    for (int k = 0; k < 3; ++k) around[next[faces(f, k)]++] = static_cast<int32_t>(f);
  }
  constexpr int kMostNeighbours = 64;  // fans of thousands of slivers gain nothing from more
  PointsD normals(faces.rows() * 3, 3);
  for (Eigen::Index f = 0; f < faces.rows(); ++f) {
    for (int k = 0; k < 3; ++k) {
      Vector3d sum = weighted.row(f);
      const int32_t v = faces(f, k), end = std::min(begin[v + 1], begin[v] + kMostNeighbours);
      for (int32_t i = begin[v]; i < end; ++i) {
        if (around[i] != f && unit.row(around[i]).dot(unit.row(f)) > kSmooth) sum += weighted.row(around[i]);
      }
      normals.row(3 * f + k) = sum.normalized();
    }
  }
  return normals;
}

struct Vertex {
  Vector3d view, normal;
  double x, y;
};

void DrawTriangle(const Vertex& a, const Vertex& b, const Vertex& c, Canvas& canvas) {
  const double area = (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
  if (!(std::abs(area) > 1e-9)) return;
  const auto clamp = [](double v, int size) { return static_cast<int>(std::clamp(v, 0.0, size - 1.0)); };
  const int x0 = clamp(std::floor(std::min({a.x, b.x, c.x}) - 0.5), canvas.width());
  const int x1 = clamp(std::ceil(std::max({a.x, b.x, c.x}) - 0.5), canvas.width());
  const int y0 = clamp(std::floor(std::min({a.y, b.y, c.y}) - 0.5), canvas.height());
  const int y1 = clamp(std::ceil(std::max({a.y, b.y, c.y}) - 0.5), canvas.height());
  for (int y = y0; y <= y1; ++y) {
    for (int x = x0; x <= x1; ++x) {
      const double px = x + 0.5, py = y + 0.5;
      const double wb = ((px - a.x) * (c.y - a.y) - (py - a.y) * (c.x - a.x)) / area;
      const double wc = ((b.x - a.x) * (py - a.y) - (b.y - a.y) * (px - a.x)) / area;
      const double wa = 1 - wb - wc;
      if (wa < 0 || wb < 0 || wc < 0) continue;
      // Inverse depth is linear on the screen, and weights divided by depth are so on the face.
      const double ia = wa / a.view[2], ib = wb / b.view[2], ic = wc / c.view[2];
      if (!canvas.IsNearer(x, y, ia + ib + ic)) continue;
      Vector3d normal = (a.normal * ia + b.normal * ib + c.normal * ic).normalized();
      const Vector3d to = a.view * ia + b.view * ib + c.view * ic;
      if (normal.dot(to) > 0) normal = -normal;
      canvas.Set(x, y, ia + ib + ic, normal);
    }
  }
}

}  // namespace

Image RenderMesh(const TriangleMesh& mesh, const RenderOptions& options) {
  const Camera camera(options, mesh.vertices);
  Canvas canvas(options, camera);
  Faces faces(mesh.faces.rows(), 3);
  Eigen::Index kept = 0;
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    bool usable = true;
    for (int k = 0; k < 3; ++k) {
      const int32_t v = mesh.faces(f, k);
      usable = usable && v >= 0 && v < mesh.vertices.rows() && mesh.vertices.row(v).allFinite();
    }
    if (usable) faces.row(kept++) = mesh.faces.row(f);
  }
  faces.conservativeResize(kept, 3);
  const PointsD normals = CornerNormals(mesh.vertices, faces);
  for (Eigen::Index f = 0; f < faces.rows(); ++f) {
    Vertex corner[3];
    bool visible = true;
    for (int k = 0; k < 3; ++k) {
      corner[k].view = camera.ToView(mesh.vertices.row(faces(f, k)));
      corner[k].normal = camera.ToViewDirection(normals.row(3 * f + k));
      visible = visible && corner[k].view[2] > kNear;
      corner[k].x = camera.ScreenX(corner[k].view);
      corner[k].y = camera.ScreenY(corner[k].view);
    }
    if (visible) DrawTriangle(corner[0], corner[1], corner[2], canvas);
  }
  return canvas.Develop();
}

Image RenderPoints(const PointsFRef& points, const std::optional<PointsF>& normals,
                   const RenderOptions& options, double radius) {
  const Camera camera(options, points.cast<double>());
  Canvas canvas(options, camera);
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    if (!points.row(i).allFinite()) continue;
    const Vector3d view = camera.ToView(points.row(i).cast<double>());
    if (view[2] < kNear) continue;
    Vector3d flat = Vector3d::Zero();
    if (normals.has_value() && i < normals->rows() && normals->row(i).allFinite()) {
      flat = camera.ToViewDirection(normals->row(i).cast<double>()).normalized();
      if (flat.dot(view) > 0) flat = -flat;
    }
    const double r = std::max(0.8, camera.focal() * radius / view[2]);
    const double cx = camera.ScreenX(view), cy = camera.ScreenY(view);
    if (!(cx > -r && cx < canvas.width() + r && cy > -r && cy < canvas.height() + r)) continue;
    for (int y = std::max(0, static_cast<int>(cy - r)); y <= std::min<int>(canvas.height() - 1, cy + r);
         ++y) {
      for (int x = std::max(0, static_cast<int>(cx - r)); x <= std::min<int>(canvas.width() - 1, cx + r);
           ++x) {
        const double dx = (x + 0.5 - cx) / r, dy = (cy - y - 0.5) / r, bulge = 1 - dx * dx - dy * dy;
        if (bulge < 0) continue;
        const double towards = std::sqrt(bulge);
        const double inverse_depth = 1 / (view[2] - radius * towards);
        if (!canvas.IsNearer(x, y, inverse_depth)) continue;
        canvas.Set(x, y, inverse_depth, flat.squaredNorm() > 0 ? flat : Vector3d(dx, dy, -towards));
      }
    }
  }
  return canvas.Develop();
}

Image JoinHorizontally(std::span<const Image> images, int gap) {
  Image joined;
  for (const Image& image : images) {
    joined.width += image.width + (joined.width > 0 ? gap : 0);
    joined.height = std::max(joined.height, image.height);
  }
  joined.rgb.assign(static_cast<size_t>(joined.width) * joined.height * 3, 255);
  int left = 0;
  for (const Image& image : images) {
    for (int y = 0; y < image.height; ++y) {
      std::copy_n(image.rgb.begin() + static_cast<size_t>(y) * image.width * 3, image.width * 3,
                  joined.rgb.begin() + (static_cast<size_t>(y) * joined.width + left) * 3);
    }
    left += image.width + gap;
  }
  return joined;
}

}  // namespace manyform

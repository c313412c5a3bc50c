#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "geometry/render.h"
#include "geometry/render_color.h"

namespace manyform {
namespace {

// Lightness grows evenly while the hue turns from blue-violet through green to yellow.
Light FieldColor(float u) {
  u = std::clamp(u, 0.0f, 1.0f);
  return FromOklch(0.27f + 0.64f * u, 0.11f + 0.05f * u, 292.0f - 185.0f * u);
}

// The field between its samples; positions beyond the outermost samples take the border's value.
class Field {
 public:
  Field(std::span<const float> values, int nx, int ny) : values_(values), nx_(nx), ny_(ny) {}
  float At(double x, double y) const {
    x = std::clamp(x, 0.0, nx_ - 1.0);
    y = std::clamp(y, 0.0, ny_ - 1.0);
    const int x0 = std::min(static_cast<int>(x), std::max(nx_ - 2, 0));
    const int y0 = std::min(static_cast<int>(y), std::max(ny_ - 2, 0));
    const int x1 = std::min(x0 + 1, nx_ - 1), y1 = std::min(y0 + 1, ny_ - 1);
    const float u = static_cast<float>(x - x0), v = static_cast<float>(y - y0);
    return Mix(Mix(Value(x0, y0), Value(x1, y0), u), Mix(Value(x0, y1), Value(x1, y1), u), v);
  }

 private:
  // A weight of zero silences even a value that is not finite.
  static float Mix(float a, float b, float w) { return w == 0 ? a : w == 1 ? b : a * (1 - w) + b * w; }
  float Value(int x, int y) const { return values_[static_cast<size_t>(y) * nx_ + x]; }
  std::span<const float> values_;
  int nx_, ny_;
};

}  // namespace

Image RenderSlice(std::span<const float> values, int nx, int ny, const SliceOptions& options) {
  Image image{options.width, options.height, {}};
  image.rgb.reserve(static_cast<size_t>(image.width) * image.height * 3);
  const Field field(values, nx, ny);
  const double step_x = static_cast<double>(nx) / image.width,
               step_y = static_cast<double>(ny) / image.height;
  const float range = options.high > options.low ? options.high - options.low : 1;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const double fx = (x + 0.5) * step_x - 0.5, fy = (image.height - y - 0.5) * step_y - 0.5;
      const float value = field.At(fx, fy);
      Light light = Light::Constant(0.5f);
      if (std::isfinite(value)) {
        light = FieldColor((value - options.low) / range);
        if (options.contour.has_value()) {
          // The line is as wide where the field is steep as where it is flat.
          const float gx = field.At(fx + step_x, fy) - field.At(fx - step_x, fy);
          const float gy = field.At(fx, fy + step_y) - field.At(fx, fy - step_y);
          const float slope = std::sqrt(gx * gx + gy * gy) / 2;
          const float pixels = std::abs(value - *options.contour) / slope;
          if (slope > 0 && pixels < 1.5f) light += (Light::Ones() - light) * std::min(1.0f, 1.5f - pixels);
        }
      }
      const auto rgb = ToSrgb(light);
      image.rgb.insert(image.rgb.end(), rgb.begin(), rgb.end());
    }
  }
  return image;
}

}  // namespace manyform

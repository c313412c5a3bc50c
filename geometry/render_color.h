/// \file
/// Light and its encoding, for the pictures of render.h.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "Eigen/Core"

namespace manyform {

/// Linear light, red green blue in [0,1].
using Light = Eigen::Vector3f;

inline Light FromSrgb(const std::array<uint8_t, 3>& rgb) {
  Light light;
  for (int k = 0; k < 3; ++k) {
    const float v = static_cast<float>(rgb[k]) / 255;
    light[k] = v <= 0.04045f ? v / 12.92f : std::pow((v + 0.055f) / 1.055f, 2.4f);
  }
  return light;
}

inline std::array<uint8_t, 3> ToSrgb(const Light& light) {
  std::array<uint8_t, 3> rgb;
  for (int k = 0; k < 3; ++k) {
    const float v = std::clamp(light[k], 0.0f, 1.0f);
    const float encoded = v <= 0.0031308f ? v * 12.92f : 1.055f * std::pow(v, 1 / 2.4f) - 0.055f;
    rgb[k] = static_cast<uint8_t>(std::lround(encoded * 255));
  }
  return rgb;
}

/// Oklab (Ottosson 2020) by lightness, chroma and hue in degrees; out of gamut is clipped.
inline Light FromOklch(float lightness, float chroma, float hue_degrees) {
  const float hue = hue_degrees * 3.14159265f / 180, a = chroma * std::cos(hue), b = chroma * std::sin(hue);
  const auto cube = [](float v) { return v * v * v; };
  const float l = cube(lightness + 0.3963377774f * a + 0.2158037573f * b);
  const float m = cube(lightness - 0.1055613458f * a - 0.0638541728f * b);
  const float s = cube(lightness - 0.0894841775f * a - 1.2914855480f * b);
  return Light(4.0767416621f * l - 3.3077115913f * m + 0.2309699292f * s,
               -1.2684380046f * l + 2.6097574011f * m - 0.3413193965f * s,
               -0.0041960863f * l - 0.7034186147f * m + 1.7076147010f * s)
      .cwiseMax(0)
      .cwiseMin(1);
}

}  // namespace manyform

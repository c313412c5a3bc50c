/// \file
/// Small pictures of shapes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/png_writer.h"
#include "geometry/types.h"

namespace manyform {

struct RenderOptions {
  int width = 192, height = 192;
  /// Where the camera stands, in degrees; up is `up_axis`.
  double azimuth = 40, elevation = 25;
  int up_axis = 2;       ///< 0 x, 1 y, 2 z
  bool auto_fit = true;  ///< centres and scales the shape; otherwise the cube [-1,1]^3 is framed
  std::array<uint8_t, 3> color = {104, 151, 196};
  std::array<uint8_t, 3> background = {250, 250, 252};
};

/// Two-sided Lambert shading by a key and a fill light over a soft ambient, smooth across edges of less than
/// 40 degrees; 2x2 supersampling. Faces with a vertex that is missing or not finite are left out; an empty
/// mesh is background. \pre width, height >= 1, here and below
Image RenderMesh(const TriangleMesh& mesh, const RenderOptions& options = {});

/// Points as shaded discs of `radius` in world units (after fitting). Without `normals`, or where one is
/// zero, a disc is shaded as a small ball.
Image RenderPoints(const PointsFRef& points, const std::optional<PointsF>& normals = std::nullopt,
                   const RenderOptions& options = {}, double radius = 0.028);

struct SliceOptions {
  int width = 192, height = 192;
  float low = 0, high = 1;              ///< values at the ends of the colours
  std::optional<float> contour = 0.0f;  ///< draws the line where values cross this
};
/// Row-major values[y][x], y upwards, bilinearly enlarged, in perceptually even colours (dark blue to
/// yellow). Values that are not finite are grey. \pre values.size() == nx * ny
Image RenderSlice(std::span<const float> values, int nx, int ny, const SliceOptions& options = {});

/// Pictures of equal height side by side with a gap.
Image JoinHorizontally(std::span<const Image> images, int gap = 6);

}  // namespace manyform

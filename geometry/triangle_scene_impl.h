/// \file
/// What closest_point and ray_cast see of a TriangleScene.
#pragma once

#include <cstdint>
#include <vector>

#include "Eigen/Core"
#include "embree3/rtcore.h"
#include "geometry/triangle_scene.h"

namespace manyform {

struct TriangleScene::Impl {
  struct Triangle {
    Eigen::Vector3d a, b, c;
  };
  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (scene != nullptr) rtcReleaseScene(scene);
  }

  std::vector<Triangle> triangles;
  Eigen::Vector3d centre;
  double radius = 0;  ///< every corner lies within this of the centre
  double margin = 0;  ///< Embree's boxes are larger than their triangles by this
  RTCScene scene = nullptr;
};

/// A ray on its way through the scene: Embree hands it back for each triangle whose box the ray meets.
struct RayVisitor {
  RTCIntersectContext context;  ///< first, since Embree sees only this
  void (*visit)(RayVisitor& visitor, int32_t face, RTCRay& ray);
};

}  // namespace manyform

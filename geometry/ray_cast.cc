#include "geometry/ray_cast.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "Eigen/Geometry"
#include "embree3/rtcore.h"
#include "geometry/triangle_scene_impl.h"

namespace manyform {
namespace {

using Eigen::Vector3d;
using Triangle = TriangleScene::Impl::Triangle;

Vector3d Normal(const Triangle& t) { return (t.b - t.a).cross(t.c - t.b); }

// The ray as a shear that maps its direction onto the axis it follows most (Woop, Benthin & Wald 2013).
struct Shear {
  explicit Shear(const Vector3d& d) {
    d.cwiseAbs().maxCoeff(&z);
    x = (z + 1) % 3;
    y = (z + 2) % 3;
    along_x = d[x] / d[z];
    along_y = d[y] / d[z];
    per_z = 1 / d[z];
  }
  int x, y, z;
  double along_x, along_y, per_z;
};

// Depth of the triangle along the ray, or -1. A corner is sheared alike for all its faces, and the sign of a
// difference of two products is right or zero after rounding: no ray slips between faces that share corners.
double Intersect(const Triangle& triangle, const Vector3d& o, const Shear& s) {
  const Vector3d a = triangle.a - o, b = triangle.b - o, c = triangle.c - o;
  const double ax = a[s.x] - s.along_x * a[s.z], ay = a[s.y] - s.along_y * a[s.z];
  const double bx = b[s.x] - s.along_x * b[s.z], by = b[s.y] - s.along_y * b[s.z];
  const double cx = c[s.x] - s.along_x * c[s.z], cy = c[s.y] - s.along_y * c[s.z];
  const double u = cx * by - cy * bx, v = ax * cy - ay * cx, w = bx * ay - by * ax;
  if ((u < 0 || v < 0 || w < 0) && (u > 0 || v > 0 || w > 0)) return -1;
  const double sum = u + v + w;
  if (sum == 0) return -1;
  const double t = (u * a[s.z] + v * b[s.z] + w * c[s.z]) / sum * s.per_z;
  return t >= 0 ? t : -1;
}

struct Search : RayVisitor {
  Search(const TriangleScene::Impl& scene, const Vector3d& origin, const Vector3d& unit_direction);
  const TriangleScene::Impl& impl;
  const Vector3d o, d;
  const Shear shear;
  double start = 0;  // where Embree's ray begins
  double t = std::numeric_limits<double>::infinity();
  int32_t face = -1;
};

void VisitTriangle(RayVisitor& visitor, int32_t face, RTCRay& ray) {
  Search& search = static_cast<Search&>(visitor);
  const double t = Intersect(search.impl.triangles[face], search.o, search.shear);
  if (t < 0 || t > search.t || (t == search.t && face > search.face)) return;
  search.t = t;
  search.face = face;
  ray.tfar = std::min(ray.tfar, static_cast<float>((t - search.start) * (1 + 1e-6) + search.impl.margin));
}

Search::Search(const TriangleScene::Impl& scene, const Vector3d& origin, const Vector3d& unit_direction)
    : RayVisitor{{}, &VisitTriangle}, impl(scene), o(origin), d(unit_direction), shear(unit_direction) {}

void Run(Search& search) {
  const TriangleScene::Impl& impl = search.impl;
  const Vector3d local = search.o - impl.centre;
  const double closest = -local.dot(search.d), reach = impl.radius * 1.001 + impl.margin;
  if ((local + closest * search.d).squaredNorm() > reach * reach || closest < -reach) return;
  // From the rim of the scene, so that single precision sees no large numbers.
  search.start = std::max(0.0, closest - reach);
  const Vector3d o = local + search.start * search.d;
  rtcInitIntersectContext(&search.context);
  RTCRayHit ray{};
  ray.ray.org_x = static_cast<float>(o[0]);
  ray.ray.org_y = static_cast<float>(o[1]);
  ray.ray.org_z = static_cast<float>(o[2]);
  ray.ray.dir_x = static_cast<float>(search.d[0]);
  ray.ray.dir_y = static_cast<float>(search.d[1]);
  ray.ray.dir_z = static_cast<float>(search.d[2]);
  ray.ray.tnear = 0;
  ray.ray.tfar = std::numeric_limits<float>::infinity();
  ray.ray.mask = 0xffffffff;
  ray.hit.geomID = ray.hit.instID[0] = RTC_INVALID_GEOMETRY_ID;
  rtcIntersect1(impl.scene, &search.context, &ray);
}

bool Usable(const Vector3d& o, const Vector3d& d, double length) {
  return o.allFinite() && d.allFinite() && length > 0 && std::isfinite(length);
}

}  // namespace

RayHit FirstHit(const TriangleScene& scene, const Vector3d& origin, const Vector3d& direction) {
  const double length = direction.norm();
  if (!Usable(origin, direction, length)) return {};
  Search search(scene.impl(), origin, direction / length);
  Run(search);
  if (search.face < 0) return {};
  return {search.face, search.t / length};
}

RayAnswers CastRays(const TriangleScene& scene, const PointsFRef& origins, const PointsFRef& directions) {
  // A ray that runs along its hit plane up to this sine has no answer in the published system.
  constexpr double kParallel = 1e-8;
  const Eigen::Index n = origins.rows();
  RayAnswers answers{std::vector<float>(n, 0.0f), std::vector<float>(n, 0.0f), PointsF::Zero(n, 3)};
  for (Eigen::Index i = 0; i < n; ++i) {
    const Vector3d o = origins.row(i).cast<double>(), d = directions.row(i).cast<double>();
    const double length = d.norm();
    if (!Usable(o, d, length)) continue;
    Search search(scene.impl(), o, d / length);
    Run(search);
    if (search.face < 0) continue;
    const Vector3d cross = Normal(scene.impl().triangles[search.face]);
    const Vector3d normal = cross * (1 / cross.norm());
    if (std::abs(normal.dot(search.d)) <= kParallel) continue;
    // The published depth is measured along the direction as given.
    const float t = static_cast<float>((search.d * search.t).dot(d));
    if (!std::isfinite(t)) continue;
    answers.hit[i] = 1;
    answers.t[i] = t;
    answers.normals.row(i) = normal.cast<float>();
  }
  return answers;
}

}  // namespace manyform

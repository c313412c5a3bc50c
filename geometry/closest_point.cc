#include "geometry/closest_point.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "Eigen/Geometry"
#include "embree3/rtcore.h"
#include "geometry/morton.h"
#include "geometry/triangle_scene_impl.h"

namespace manyform {
namespace {

using Eigen::Vector3d;

Vector3d ClosestPointOnSegment(const Vector3d& p, const Vector3d& a, const Vector3d& b) {
  const Vector3d ab = b - a;
  const double length = ab.squaredNorm();
  return length > 0 ? Vector3d(a + ab * std::clamp(ab.dot(p - a) / length, 0.0, 1.0)) : a;
}

// By the Voronoi region of the triangle that p lies in.
Vector3d ByRegions(const Vector3d& p, const Vector3d& a, const Vector3d& b, const Vector3d& c) {
  const Vector3d ab = b - a, ac = c - a, ap = p - a;
  const double d1 = ab.dot(ap), d2 = ac.dot(ap);
  if (d1 <= 0 && d2 <= 0) return a;
  const Vector3d bp = p - b;
  const double d3 = ab.dot(bp), d4 = ac.dot(bp);
  if (d3 >= 0 && d4 <= d3) return b;
  const double vc = d1 * d4 - d3 * d2;
  if (vc <= 0 && d1 >= 0 && d3 <= 0) return a + ab * (d1 - d3 > 0 ? d1 / (d1 - d3) : 0);
  const Vector3d cp = p - c;
  const double d5 = ab.dot(cp), d6 = ac.dot(cp);
  if (d6 >= 0 && d5 <= d6) return c;
  const double vb = d5 * d2 - d1 * d6;
  if (vb <= 0 && d2 >= 0 && d6 <= 0) return a + ac * (d2 - d6 > 0 ? d2 / (d2 - d6) : 0);
  const double va = d3 * d6 - d5 * d4;
  const double along_b = d4 - d3, along_c = d5 - d6;
  if (va <= 0 && along_b >= 0 && along_c >= 0) {
    return b + (c - b) * (along_b + along_c > 0 ? along_b / (along_b + along_c) : 0);
  }
  const double scale = 1 / (va + vb + vc);
  const double v = std::clamp(vb * scale, 0.0, 1.0), w = std::clamp(vc * scale, 0.0, 1.0 - v);
  return a + ab * v + ac * w;
}

struct Search {
  const TriangleScene::Impl* impl;
  Vector3d p;
  double slack;  // what rounding p to single precision can cost
  double squared = std::numeric_limits<double>::infinity();
  int32_t face = -1;
  Vector3d nearest = Vector3d::Zero();

  // True if the triangle is nearer than all before it.
  bool Visit(int32_t candidate) {
    const TriangleScene::Impl::Triangle& t = impl->triangles[candidate];
    const Vector3d q = ClosestPointOnTriangle(p, t.a, t.b, t.c);
    const double d = (q - p).squaredNorm();
    if (d > squared || (d == squared && candidate > face)) return false;
    squared = d;
    face = candidate;
    nearest = q;
    return true;
  }
  float Reach() const { return static_cast<float>(std::sqrt(squared) * (1 + 1e-6) + slack); }
};

bool VisitTriangle(RTCPointQueryFunctionArguments* args) {
  Search& search = *static_cast<Search*>(args->userPtr);
  if (!search.Visit(static_cast<int32_t>(args->primID))) return false;
  args->query->radius = std::min(args->query->radius, search.Reach());
  return true;
}

SurfacePoint Run(Search& search) {
  const Vector3d local = search.p - search.impl->centre;
  search.slack = (local.norm() + search.impl->radius) * 1e-6;
  RTCPointQuery query;
  query.x = static_cast<float>(local[0]);
  query.y = static_cast<float>(local[1]);
  query.z = static_cast<float>(local[2]);
  query.time = 0;
  query.radius = search.Reach();
  RTCPointQueryContext context;
  rtcInitPointQueryContext(&context);
  rtcPointQuery(search.impl->scene, &query, &context, &VisitTriangle, &search);
  return {search.nearest, std::sqrt(search.squared), search.face};
}

SurfacePoint NoAnswer(const Vector3d& p) { return {p, std::numeric_limits<double>::quiet_NaN(), -1}; }

}  // namespace

Vector3d ClosestPointOnTriangle(const Vector3d& p, const Vector3d& a, const Vector3d& b, const Vector3d& c) {
  // Below this squared sine, regions are decided by roundings.
  constexpr double kSliver = 1e-6;
  const Vector3d ab = b - a, ac = c - a;
  const Vector3d q = ByRegions(p, a, b, c);
  if (ab.cross(ac).squaredNorm() > kSliver * ab.squaredNorm() * ac.squaredNorm()) return q;
  // Every candidate lies on the triangle, so the nearest one is right.
  Vector3d best = ClosestPointOnSegment(p, a, b);
  for (const Vector3d& other : {ClosestPointOnSegment(p, b, c), ClosestPointOnSegment(p, c, a), q}) {
    if ((other - p).squaredNorm() < (best - p).squaredNorm()) best = other;
  }
  return best;
}

SurfacePoint ClosestPointOnMesh(const TriangleScene& scene, const Vector3d& p) {
  if (!p.allFinite()) return NoAnswer(p);
  Search search{&scene.impl(), p, 0};
  return Run(search);
}

std::vector<float> DistancesToMesh(const TriangleScene& scene, const PointsFRef& points) {
  std::vector<float> distances(points.rows());
  int32_t near_face = -1;
  // Neighbours one after another: the last answer's face bounds the next search from its start.
  for (const int32_t i : MortonOrder(points)) {
    const Vector3d p = points.row(i).cast<double>();
    if (!p.allFinite()) {
      distances[i] = std::numeric_limits<float>::quiet_NaN();
      continue;
    }
    Search search{&scene.impl(), p, 0};
    if (near_face >= 0) search.Visit(near_face);
    const SurfacePoint found = Run(search);
    near_face = found.face;
    distances[i] = static_cast<float>(found.distance);
  }
  return distances;
}

}  // namespace manyform

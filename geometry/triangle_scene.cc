#include "geometry/triangle_scene.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "geometry/mesh.h"
#include "geometry/triangle_scene_impl.h"

#ifdef __SANITIZE_THREAD__
// Embree and TBB are not instrumented: their own synchronisation cannot be seen, and looks like its absence.
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:libembree3\ncalled_from_lib:libtbb.so\n";
}
#endif

namespace manyform {
namespace {

// One device for the process, never released: scenes are made from many threads, each builds with its own.
RTCDevice SharedDevice() {
  static const RTCDevice device = rtcNewDevice("threads=1");
  return device;
}

// Boxes are handed to Embree relative to the scene's centre, where single precision is finest.
void TriangleBounds(const RTCBoundsFunctionArguments* args) {
  const auto& impl = *static_cast<const TriangleScene::Impl*>(args->geometryUserPtr);
  const TriangleScene::Impl::Triangle& t = impl.triangles[args->primID];
  const Eigen::Vector3f low =
      ((t.a.cwiseMin(t.b).cwiseMin(t.c) - impl.centre).array() - impl.margin).matrix().cast<float>();
  const Eigen::Vector3f high =
      ((t.a.cwiseMax(t.b).cwiseMax(t.c) - impl.centre).array() + impl.margin).matrix().cast<float>();
  RTCBounds& bounds = *args->bounds_o;
  bounds.lower_x = low[0], bounds.lower_y = low[1], bounds.lower_z = low[2];
  bounds.upper_x = high[0], bounds.upper_y = high[1], bounds.upper_z = high[2];
}

void VisitByRay(const RTCIntersectFunctionNArguments* args) {
  if (!args->valid[0]) return;
  RayVisitor& visitor = *reinterpret_cast<RayVisitor*>(args->context);
  visitor.visit(visitor, static_cast<int32_t>(args->primID), reinterpret_cast<RTCRayHit*>(args->rayhit)->ray);
}

}  // namespace

TriangleScene::TriangleScene(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TriangleScene::TriangleScene(TriangleScene&&) noexcept = default;
TriangleScene& TriangleScene::operator=(TriangleScene&&) noexcept = default;
TriangleScene::~TriangleScene() = default;

absl::StatusOr<TriangleScene> TriangleScene::Create(const TriangleMesh& mesh) {
  MF_RETURN_IF_ERROR(ValidateMesh(mesh));
  const RTCDevice device = SharedDevice();
  if (device == nullptr) {
    return absl::InternalError(absl::StrFormat("Embree has no device: error %d", rtcGetDeviceError(nullptr)));
  }
  auto impl = std::make_unique<Impl>();
  const auto bounds = Bounds(mesh.vertices);
  impl->centre = (bounds.row(0) * 0.5 + bounds.row(1) * 0.5).transpose();
  impl->radius = (bounds.row(1) * 0.5 - bounds.row(0) * 0.5).norm();
  if (!(impl->radius < 1e15)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("the mesh is too large: its radius is %g", impl->radius));
  }
  // Some sixteen roundings of the largest coordinate.
  impl->margin = std::max(impl->radius * 1e-6, 1e-30);
  impl->triangles.resize(mesh.faces.rows());
  for (Eigen::Index f = 0; f < mesh.faces.rows(); ++f) {
    impl->triangles[f] = {mesh.vertices.row(mesh.faces(f, 0)), mesh.vertices.row(mesh.faces(f, 1)),
                          mesh.vertices.row(mesh.faces(f, 2))};
  }

  impl->scene = rtcNewScene(device);
  rtcSetSceneFlags(impl->scene, RTC_SCENE_FLAG_ROBUST);
  // A few thousand queries do not pay for a better tree: it takes four times as long to build.
  rtcSetSceneBuildQuality(impl->scene, RTC_BUILD_QUALITY_LOW);
  const RTCGeometry geometry = rtcNewGeometry(device, RTC_GEOMETRY_TYPE_USER);
  rtcSetGeometryBuildQuality(geometry, RTC_BUILD_QUALITY_LOW);
  rtcSetGeometryUserPrimitiveCount(geometry, static_cast<unsigned>(impl->triangles.size()));
  rtcSetGeometryUserData(geometry, impl.get());
  rtcSetGeometryBoundsFunction(geometry, &TriangleBounds, nullptr);
  rtcSetGeometryIntersectFunction(geometry, &VisitByRay);
  rtcCommitGeometry(geometry);
  rtcAttachGeometry(impl->scene, geometry);
  rtcReleaseGeometry(geometry);
  rtcCommitScene(impl->scene);
  if (const RTCError error = rtcGetDeviceError(device); error != RTC_ERROR_NONE) {
    return absl::InternalError(
        absl::StrFormat("Embree fails on a mesh of %d faces: error %d", mesh.faces.rows(), error));
  }
  return TriangleScene(std::move(impl));
}

}  // namespace manyform

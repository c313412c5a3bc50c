#include "geometry/sampling.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "geometry/mesh.h"

namespace manyform {

absl::StatusOr<SurfaceSamples> SampleSurface(const TriangleMesh& mesh, int64_t n, NumpyRandomState& random) {
  if (n < 0) return absl::InvalidArgumentError(absl::StrFormat("%d surface samples were asked for", n));
  MF_RETURN_IF_ERROR(ValidateMesh(mesh));
  const std::vector<double> area = FaceAreaCumsum(mesh);
  if (!(area.back() > 0) || !std::isfinite(area.back())) {
    return absl::InvalidArgumentError(absl::StrFormat("the mesh has no area to sample: %g", area.back()));
  }

  SurfaceSamples samples{PointsD(n, 3), std::vector<int32_t>(n)};
  for (int64_t i = 0; i < n; ++i) {
    const double pick = random.Double() * area.back();
    samples.faces[i] = static_cast<int32_t>(std::lower_bound(area.begin(), area.end(), pick) - area.begin());
  }
  for (int64_t i = 0; i < n; ++i) {
    double a = random.Double(), b = random.Double();
    if (a + b > 1) {
      a = std::abs(a - 1);
      b = std::abs(b - 1);
    }
    const auto face = mesh.faces.row(samples.faces[i]);
    const Eigen::RowVector3d origin = mesh.vertices.row(face[0]);
    samples.points.row(i) =
        ((mesh.vertices.row(face[1]) - origin) * a + (mesh.vertices.row(face[2]) - origin) * b) + origin;
  }
  return samples;
}

}  // namespace manyform

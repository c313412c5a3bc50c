#include "geometry/sampling.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "geometry/mesh.h"

namespace manyform {

absl::StatusOr<SurfaceSampler> SurfaceSampler::Create(const TriangleMesh& mesh) {
  MF_RETURN_IF_ERROR(ValidateMesh(mesh));
  SurfaceSampler sampler(mesh);
  std::vector<double>& area = sampler.area_;
  area = FaceAreaCumsum(mesh);
  if (!(area.back() > 0) || !std::isfinite(area.back())) {
    return absl::InvalidArgumentError(absl::StrFormat("the mesh has no area to sample: %g", area.back()));
  }
  const size_t buckets = area.size();
  sampler.per_area_ = static_cast<double>(buckets) / area.back();
  if (!std::isfinite(sampler.per_area_)) sampler.per_area_ = 0;
  sampler.first_.resize(buckets + 1);
  size_t face = 0;
  for (size_t b = 0; b <= buckets; ++b) {
    while (face + 1 < area.size() && area[face] * sampler.per_area_ < static_cast<double>(b)) ++face;
    sampler.first_[b] = static_cast<int32_t>(face);
  }
  return sampler;
}

// As std::lower_bound finds it among all.
int32_t SurfaceSampler::FaceAt(double area) const {
  // A bucket to either side is more than roundings move the product.
  const double bucket = std::min(area * per_area_, static_cast<double>(first_.size()));
  const auto b = static_cast<int64_t>(bucket), last = static_cast<int64_t>(first_.size()) - 1;
  const int32_t from = first_[std::clamp<int64_t>(b - 1, 0, last)];
  const int32_t to = b + 2 <= last ? first_[b + 2] + 1 : static_cast<int32_t>(area_.size());
  return static_cast<int32_t>(std::lower_bound(area_.begin() + from, area_.begin() + to, area) -
                              area_.begin());
}

absl::StatusOr<SurfaceSamples> SurfaceSampler::Sample(int64_t n, NumpyRandomState& random) const {
  if (n < 0) return absl::InvalidArgumentError(absl::StrFormat("%d surface samples were asked for", n));
  SurfaceSamples samples{PointsD(n, 3), std::vector<int32_t>(n)};
  for (int64_t i = 0; i < n; ++i) samples.faces[i] = FaceAt(random.Double() * area_.back());
  for (int64_t i = 0; i < n; ++i) {
    double a = random.Double(), b = random.Double();
    if (a + b > 1) {
      a = std::abs(a - 1);
      b = std::abs(b - 1);
    }
    const int32_t* face = mesh_->faces.row(samples.faces[i]).data();
    const double* p = mesh_->vertices.row(face[0]).data();
    const double* q = mesh_->vertices.row(face[1]).data();
    const double* r = mesh_->vertices.row(face[2]).data();
    for (int k = 0; k < 3; ++k) samples.points(i, k) = ((q[k] - p[k]) * a + (r[k] - p[k]) * b) + p[k];
  }
  return samples;
}

absl::StatusOr<SurfaceSamples> SampleSurface(const TriangleMesh& mesh, int64_t n, NumpyRandomState& random) {
  MF_ASSIGN_OR_RETURN(const SurfaceSampler sampler, SurfaceSampler::Create(mesh));
  return sampler.Sample(n, random);
}

}  // namespace manyform

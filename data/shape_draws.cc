#include "data/shape_draws.h"

#include <cmath>
#include <vector>

#include "base/status_macros.h"
#include "geometry/mesh.h"

namespace manyform {
namespace {

int64_t NumUniformPoints(const BuildCacheConfig& config) {
  return static_cast<int64_t>(std::nearbyint((1.0 - config.pt_surface_ratio()) * config.pt_pool()));
}

}  // namespace

absl::StatusOr<PointCloud> SamplePointCloud(const SurfaceSampler& surface, const TriangleMesh& mesh,
                                            int64_t n, NumpyRandomState& random) {
  MF_ASSIGN_OR_RETURN(const SurfaceSamples samples, surface.Sample(n, random));
  PointCloud cloud{samples.points.cast<float>(), PointsF(n, 3)};
  for (int64_t i = 0; i < n; ++i) cloud.normals.row(i) = FaceNormal(mesh, samples.faces[i]).cast<float>();
  return cloud;
}

absl::StatusOr<PointsF> DrawPointPool(const PointsF& cloud, const BuildCacheConfig& config,
                                      NumpyRandomState& random) {
  const int64_t num_uniform = NumUniformPoints(config), num_surface = config.pt_pool() - num_uniform;
  PointsF pool(config.pt_pool(), 3);
  for (int64_t i = 0; i < 3 * num_uniform; ++i) pool.data()[i] = static_cast<float>(random.Uniform(-1, 1));
  MF_ASSIGN_OR_RETURN(const std::vector<int64_t> rows,
                      random.Choice(cloud.rows(), num_surface, /*replace=*/cloud.rows() < num_surface));
  const double sigma = config.pt_surface_sigma();
  for (int64_t i = 0; i < num_surface; ++i) {
    for (int k = 0; k < 3; ++k) {
      const double jitter = 0.0 + sigma * random.Normal();
      pool(num_uniform + i, k) = cloud(rows[i], k) + static_cast<float>(jitter);
    }
  }
  return PointsF(pool.cwiseMax(-1.f).cwiseMin(1.f));
}

}  // namespace manyform

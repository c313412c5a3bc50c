// The kernels of one shape's cache at the sizes of the published profile: 20,000 points, 8,000 rays, grids of
// 64, 2,048 observed and 8,192 reference points. One thread.
#include <cstdint>
#include <optional>
#include <vector>

#include "base/numpy_random.h"
#include "benchmark/benchmark.h"
#include "geometry/cameras.h"
#include "geometry/closest_point.h"
#include "geometry/grid.h"
#include "geometry/grid_walk.h"
#include "geometry/marching_cubes.h"
#include "geometry/mesh.h"
#include "geometry/nearest.h"
#include "geometry/ordering.h"
#include "geometry/ray_cast.h"
#include "geometry/render.h"
#include "geometry/sampling.h"
#include "geometry/testing/shapes.h"
#include "nanoflann.hpp"

namespace manyform {
namespace {

constexpr int kGrid = 64;
constexpr int64_t kPool = 20000, kRays = 8000, kCloud = 2048, kReference = 8192;

struct Fixture {
  Fixture() {
    // A chair's worth of parts: boxes thin and thick, and rounded pieces.
    std::vector<TriangleMesh> parts;
    for (int i = 0; i < 12; ++i) {
      TriangleMesh part = i % 3 == 2 ? TorusMesh(0.4, 0.1, 40, 20) : BoxMesh(0.5, 0.05, 0.04 + 0.02 * i);
      part.vertices.rowwise() +=
          Eigen::RowVector3d(0.3 * (i % 4) - 0.5, 0.25 * (i % 5) - 0.5, 0.2 * (i % 7) - 0.6);
      parts.push_back(part);
    }
    mesh = ConcatenateMeshes(parts);
    NumpyRandomState random(1);
    if (!NormalizeMesh(&mesh).ok()) return;
    const auto samples = SampleSurface(mesh, kCloud, random);
    cloud = samples->points.cast<float>();
    normals = PointsF::Zero(kCloud, 3);
    reference = SampleSurface(mesh, kReference, random)->points.cast<float>();
    pool.resize(kPool, 3);
    pool.topRows(kPool / 2) = RandomPoints(kPool / 2, 1, random);
    for (int64_t i = kPool / 2; i < kPool; ++i) {
      for (int k = 0; k < 3; ++k) {
        pool(i, k) = cloud(i % kCloud, k) + static_cast<float>(0.02 * random.Normal());
      }
    }
    rays = *GenerateRays({.n_rays = kRays}, random);
    occupancy = Occupancy(cloud, kGrid);
    Dilate(&occupancy, kGrid, 1);
    udf = UnsignedDistanceGrid(occupancy, kGrid);
    cloud_tree = *NearestPoints::Create(cloud);
    reference_tree = *NearestPoints::Create(reference);
    scene = *TriangleScene::Create(mesh);
  }
  TriangleMesh mesh;
  PointsF cloud, normals, reference, pool;
  Rays rays;
  std::vector<uint8_t> occupancy;
  std::vector<float> udf;
  std::optional<NearestPoints> cloud_tree, reference_tree;
  std::optional<TriangleScene> scene;
};

const Fixture& Shape() {
  static const Fixture& fixture = *new Fixture;
  return fixture;
}

template <class Function>
void Run(benchmark::State& state, Function function) {
  Shape();
  for (auto _ : state) benchmark::DoNotOptimize(function(Shape()));
}

TriangleMesh Normalized(TriangleMesh mesh) { return NormalizeMesh(&mesh).ok() ? mesh : TriangleMesh{}; }

#define MF_KERNEL(name, expression)                          \
  void name(benchmark::State& state) {                       \
    Run(state, [](const Fixture& s) { return expression; }); \
  }                                                          \
  BENCHMARK(name)->Unit(benchmark::kMillisecond)

MF_KERNEL(Merge, MergeVertices(s.mesh));
MF_KERNEL(Normalize, Normalized(s.mesh));
void Sample(benchmark::State& state) {
  Run(state, [](const Fixture& s) {
    NumpyRandomState random(1);
    return SampleSurface(s.mesh, kCloud + kReference, random);
  });
}
BENCHMARK(Sample)->Unit(benchmark::kMillisecond);
void GenerateRayPool(benchmark::State& state) {
  Run(state, [](const Fixture&) {
    NumpyRandomState random(1);
    return GenerateRays({.n_rays = kRays}, random);
  });
}
BENCHMARK(GenerateRayPool)->Unit(benchmark::kMillisecond);
MF_KERNEL(ReferenceTree, NearestPoints::Create(s.reference));
MF_KERNEL(ReferenceDistances, s.reference_tree->Distances(s.pool));
// The library's tree on the same points: why ours exists.
struct NanoflannCloud {
  const PointsF& points;
  size_t kdtree_get_point_count() const { return points.rows(); }
  double kdtree_get_pt(size_t row, size_t axis) const { return points(row, axis); }
  template <class Box>
  bool kdtree_get_bbox(Box&) const {
    return false;
  }
};

void ReferenceDistancesNanoflann(benchmark::State& state) {
  using Metric = nanoflann::L2_Simple_Adaptor<double, NanoflannCloud>;
  const NanoflannCloud cloud{Shape().reference};
  const nanoflann::KDTreeSingleIndexAdaptor<Metric, NanoflannCloud, 3> tree(3, cloud);
  Run(state, [&](const Fixture& s) {
    double sum = 0;
    for (Eigen::Index i = 0; i < s.pool.rows(); ++i) {
      const Eigen::Vector3d query = s.pool.row(i).cast<double>();
      unsigned index;
      double squared;
      tree.knnSearch(query.data(), 1, &index, &squared);
      sum += squared;
    }
    return sum;
  });
}
BENCHMARK(ReferenceDistancesNanoflann)->Unit(benchmark::kMillisecond);
MF_KERNEL(CloudTree, NearestPoints::Create(s.cloud));
MF_KERNEL(CloudDistances, s.cloud_tree->Distances(s.pool));
MF_KERNEL(OccupancyGrid, Occupancy(s.cloud, kGrid));
void DilateOnce(benchmark::State& state) {
  Run(state, [](const Fixture& s) {
    std::vector<uint8_t> grid = s.occupancy;
    Dilate(&grid, kGrid, 1);
    return grid;
  });
}
BENCHMARK(DilateOnce)->Unit(benchmark::kMillisecond);
MF_KERNEL(DistanceTransform, UnsignedDistanceGrid(s.occupancy, kGrid));
MF_KERNEL(Trilinear, SampleTrilinear(s.udf, kGrid, s.pool));
MF_KERNEL(GridWalk, WalkGrid(s.occupancy, kGrid, s.rays.origins, s.rays.directions));
MF_KERNEL(GridWalkWithNormals,
          WalkPointCloud(s.occupancy, kGrid, s.rays.origins, s.rays.directions, *s.cloud_tree, s.normals));
MF_KERNEL(BuildScene, TriangleScene::Create(s.mesh));
MF_KERNEL(MeshRays, CastRays(*s.scene, s.rays.origins, s.rays.directions));
MF_KERNEL(MeshDistances, DistancesToMesh(*s.scene, s.pool));
MF_KERNEL(FarthestPoints, FarthestPointOrder(s.pool, 2048));
MF_KERNEL(Morton, MortonOrder(s.pool));
MF_KERNEL(Isosurface, ExtractIsosurface(s.udf, kGrid, CellCentreIsosurface(kGrid, 0.05f)));
MF_KERNEL(Thumbnail, RenderMesh(s.mesh));
MF_KERNEL(PointThumbnail, RenderPoints(s.cloud));

}  // namespace
}  // namespace manyform

BENCHMARK_MAIN();

#include "data/shape_arrays.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/numpy_random.h"
#include "base/status_macros.h"
#include "data/shape_draws.h"
#include "geometry/cameras.h"
#include "geometry/closest_point.h"
#include "geometry/grid.h"
#include "geometry/grid_walk.h"
#include "geometry/mesh.h"
#include "geometry/morton.h"
#include "geometry/nearest.h"
#include "geometry/ray_cast.h"
#include "geometry/sampling.h"
#include "geometry/triangle_scene.h"

namespace manyform {
namespace {

Array PointArray(const PointsF& points) {
  return MakeArray<float>({points.data(), points.data() + points.size()}, {points.rows(), 3});
}

Array FloatArray(std::vector<float> values) {
  const int64_t n = static_cast<int64_t>(values.size());
  return MakeArray(std::move(values), {n});
}

// To the triangles, or to the nearest of many surface samples.
absl::StatusOr<std::vector<float>> PoolDistances(const SurfaceSampler& surface, const TriangleScene& scene,
                                                 const PointsF& pool, const PointsF& cloud,
                                                 const NearestPoints& nearest_in_cloud,
                                                 std::span<const int32_t> order,
                                                 const BuildCacheConfig& config, NumpyRandomState& random) {
  if (config.pt_dist_mode() == "mesh") return DistancesToMesh(scene, pool);
  if (cloud.rows() >= config.dist_ref_points()) return nearest_in_cloud.Distances(pool, order);
  MF_ASSIGN_OR_RETURN(const SurfaceSamples samples, surface.Sample(config.dist_ref_points(), random));
  MF_ASSIGN_OR_RETURN(const NearestPoints reference, NearestPoints::Create(samples.points.cast<float>()));
  return reference.Distances(pool, order);
}

void AppendDistanceField(const PointsF& pool, const PointsF& cloud, const BuildCacheConfig& config,
                         std::vector<NamedArray>* arrays) {
  const int g = config.df_grid();
  std::vector<uint8_t> occupancy = Occupancy(cloud, g);
  Dilate(&occupancy, g, config.df_dilate());
  const std::vector<float> distance = UnsignedDistanceGrid(occupancy, g);
  // The pool sees the field before it is rounded to half precision.
  arrays->push_back({"pt_dist_udf_pool", FloatArray(SampleTrilinear(distance, g, pool))});
  arrays->push_back({"udf_grid", MakeHalfArray(distance, {g, g, g})});
  arrays->push_back({"occ_grid", MakeArray(std::move(occupancy), {g, g, g})});
  arrays->push_back({"df_grid", MakeArray<int32_t>({g}, {1})});
  arrays->push_back({"df_dilate", MakeArray<int32_t>({config.df_dilate()}, {1})});
}

void AppendAnswers(const std::string& infix, RayAnswers answers, std::vector<NamedArray>* arrays) {
  arrays->push_back({absl::StrCat("ray_hit_", infix, "pool"), FloatArray(std::move(answers.hit))});
  arrays->push_back({absl::StrCat("ray_t_", infix, "pool"), FloatArray(std::move(answers.t))});
  arrays->push_back({absl::StrCat("ray_n_", infix, "pool"), PointArray(answers.normals)});
}

RayPoolOptions RayOptions(const BuildCacheConfig& config) {
  RayPoolOptions options;
  options.n_views = config.n_views();
  options.rays_per_view = config.rays_per_view();
  options.n_rays = config.ray_pool();
  return options;
}

}  // namespace

MeshInfo DescribeMesh(const TriangleMesh& mesh) {
  MeshInfo info;
  info.set_vertices(mesh.vertices.rows());
  info.set_faces(mesh.faces.rows());
  const auto bounds = Bounds(mesh.vertices);
  for (int k = 0; k < 3; ++k) info.add_extents(bounds(1, k) - bounds(0, k));
  info.set_area(TotalArea(mesh));
  info.set_watertight(IsWatertight(mesh));
  info.set_components(CountComponents(mesh));
  info.set_volume(Volume(mesh));
  return info;
}

absl::StatusOr<std::vector<NamedArray>> BuildShapeArrays(TriangleMesh mesh, const BuildCacheConfig& config,
                                                         uint32_t seed) {
  MF_RETURN_IF_ERROR(NormalizeMesh(&mesh));
  MF_ASSIGN_OR_RETURN(const TriangleScene scene, TriangleScene::Create(mesh));
  NumpyRandomState random(seed);
  MF_ASSIGN_OR_RETURN(const SurfaceSampler surface, SurfaceSampler::Create(mesh));
  MF_ASSIGN_OR_RETURN(const PointCloud cloud, SamplePointCloud(surface, mesh, config.pc_points(), random));
  MF_ASSIGN_OR_RETURN(const NearestPoints nearest, NearestPoints::Create(cloud.xyz));
  MF_ASSIGN_OR_RETURN(const PointsF pool, DrawPointPool(cloud.xyz, config, random));
  const std::vector<int32_t> order = MortonOrder(pool);
  MF_ASSIGN_OR_RETURN(std::vector<float> distance,
                      PoolDistances(surface, scene, pool, cloud.xyz, nearest, order, config, random));
  MF_ASSIGN_OR_RETURN(const Rays rays, GenerateRays(RayOptions(config), random));

  std::vector<NamedArray> arrays;
  arrays.push_back({"pc_xyz", PointArray(cloud.xyz)});
  arrays.push_back({"pc_n", PointArray(cloud.normals)});
  arrays.push_back({"pt_xyz_pool", PointArray(pool)});
  arrays.push_back({"pt_dist_pool", FloatArray(std::move(distance))});
  arrays.push_back({"pt_dist_pc_pool", FloatArray(nearest.Distances(pool, order))});
  if (!config.no_udf()) AppendDistanceField(pool, cloud.xyz, config, &arrays);
  arrays.push_back({"ray_o_pool", PointArray(rays.origins)});
  arrays.push_back({"ray_d_pool", PointArray(rays.directions)});
  AppendAnswers("", CastRays(scene, rays.origins, rays.directions), &arrays);
  if (!config.no_pc_rays()) {
    const int g = config.pc_grid();
    std::vector<uint8_t> occupancy = Occupancy(cloud.xyz, g);
    Dilate(&occupancy, g, config.pc_dilate());
    AppendAnswers("pc_",
                  WalkPointCloud(occupancy, g, rays.origins, rays.directions, nearest, cloud.normals,
                                 {.max_steps = config.pc_max_steps()}),
                  &arrays);
  }
  return arrays;
}

std::vector<NamedArray> ShapeArraysWithoutData(const BuildCacheConfig& config) {
  const int64_t n = config.pc_points(), p = config.pt_pool(), r = config.ray_pool(), g = config.df_grid();
  std::vector<NamedArray> arrays;
  const auto add = [&](absl::string_view name, DType dtype, std::vector<int64_t> shape) {
    arrays.push_back({std::string(name), Array{dtype, ItemSize(dtype), std::move(shape)}});
  };
  const auto add_answers = [&](absl::string_view infix) {
    add(absl::StrCat("ray_hit_", infix, "pool"), DType::kF32, {r});
    add(absl::StrCat("ray_t_", infix, "pool"), DType::kF32, {r});
    add(absl::StrCat("ray_n_", infix, "pool"), DType::kF32, {r, 3});
  };
  add("pc_xyz", DType::kF32, {n, 3});
  add("pc_n", DType::kF32, {n, 3});
  add("pt_xyz_pool", DType::kF32, {p, 3});
  add("pt_dist_pool", DType::kF32, {p});
  add("pt_dist_pc_pool", DType::kF32, {p});
  if (!config.no_udf()) {
    add("pt_dist_udf_pool", DType::kF32, {p});
    add("udf_grid", DType::kF16, {g, g, g});
    add("occ_grid", DType::kU8, {g, g, g});
    add("df_grid", DType::kI32, {1});
    add("df_dilate", DType::kI32, {1});
  }
  add("ray_o_pool", DType::kF32, {r, 3});
  add("ray_d_pool", DType::kF32, {r, 3});
  add_answers("");
  if (!config.no_pc_rays()) add_answers("pc_");
  return arrays;
}

absl::Status CheckShapeOptions(const BuildCacheConfig& config) {
  const std::pair<const char*, int64_t> sides[] = {{"pc_grid", config.pc_grid()},
                                                   {"df_grid", config.df_grid()}};
  for (const auto& [name, side] : sides) {
    if (side > kMaxGridSide) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": ", side, "; at most ", kMaxGridSide));
    }
  }
  return absl::OkStatus();
}

}  // namespace manyform

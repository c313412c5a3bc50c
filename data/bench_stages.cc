#include "data/bench_stages.h"

#include <cmath>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/hash.h"
#include "base/numpy_random.h"
#include "base/status_macros.h"
#include "data/manifest.h"
#include "data/mesh_reader.h"
#include "data/migration.h"
#include "data/npz.h"
#include "data/shape_arrays.h"
#include "data/shape_draws.h"
#include "geometry/cameras.h"
#include "geometry/closest_point.h"
#include "geometry/grid.h"
#include "geometry/grid_walk.h"
#include "geometry/mesh.h"
#include "geometry/morton.h"
#include "geometry/nearest.h"
#include "geometry/ordering.h"
#include "geometry/ray_cast.h"
#include "geometry/sampling.h"
#include "geometry/triangle_scene.h"
#include "proto/cache.pb.h"
#include "proto/migrate.pb.h"

namespace manyform {
namespace {

constexpr int64_t kCloud = 2048, kReference = 8192, kPool = 20000, kRays = 8000, kOrder = 2048;
constexpr int kGrid = 64;

// Operations, counted as single-precision lanes: a box or a point's distance, a triangle's.
constexpr double kPerBox = 12, kPerPoint = 8, kPerTriangle = 60, kPerWord = 11;

// A path from the root to one leaf of a tree eight wide.
double PathOperations(double items, double leaf, double per_item) {
  const double levels = std::max(1.0, std::ceil(std::log(items / leaf) / std::log(8)));
  return levels * 8 * kPerBox + leaf * per_item;
}

// What all stages of one model share.
struct Model {
  std::string path, out_path;
  TriangleMesh mesh;  // normalised
  std::vector<NamedArray> arrays;
  PointsF cloud, normals, reference, pool;
  Rays rays;
};

PointsF Points(const std::vector<NamedArray>& arrays, const std::string& name) {
  for (const NamedArray& a : arrays) {
    if (a.name != name) continue;
    const auto values = a.array.View<float>();
    return Eigen::Map<const PointsF>(values->data(), static_cast<Eigen::Index>(values->size() / 3), 3);
  }
  return {};
}

absl::StatusOr<std::shared_ptr<Model>> Load(const std::string& path, const std::string& out_path) {
  auto model = std::make_shared<Model>();
  model->path = path;
  model->out_path = out_path;
  MF_ASSIGN_OR_RETURN(model->mesh, ReadMesh(path));
  MF_ASSIGN_OR_RETURN(model->arrays, BuildShapeArrays(model->mesh, BuildCacheConfig(), 1));
  MF_RETURN_IF_ERROR(NormalizeMesh(&model->mesh));
  model->cloud = Points(model->arrays, "pc_xyz");
  model->normals = Points(model->arrays, "pc_n");
  model->pool = Points(model->arrays, "pt_xyz_pool");
  model->rays = {Points(model->arrays, "ray_o_pool"), Points(model->arrays, "ray_d_pool")};
  NumpyRandomState random(2);
  MF_ASSIGN_OR_RETURN(const SurfaceSamples samples, SampleSurface(model->mesh, kReference, random));
  model->reference = samples.points.cast<float>();
  return model;
}

// Keeps results from being optimised away.
template <class T>
absl::Status Done(const T& value) {
  asm volatile("" : : "r"(&value) : "memory");
  return absl::OkStatus();
}

absl::Status Draw(const Model& m) {
  NumpyRandomState random(1);
  MF_ASSIGN_OR_RETURN(const SurfaceSampler surface, SurfaceSampler::Create(m.mesh));
  MF_ASSIGN_OR_RETURN(const PointCloud cloud, SamplePointCloud(surface, m.mesh, kCloud, random));
  MF_ASSIGN_OR_RETURN(const PointsF pool, DrawPointPool(cloud.xyz, BuildCacheConfig(), random));
  MF_ASSIGN_OR_RETURN(const SurfaceSamples reference, surface.Sample(kReference, random));
  MF_ASSIGN_OR_RETURN(const Rays rays, GenerateRays({.n_rays = kRays}, random));
  return Done(rays.origins);
}

absl::Status NearestDistances(const Model& m) {
  MF_ASSIGN_OR_RETURN(const NearestPoints reference, NearestPoints::Create(m.reference));
  MF_ASSIGN_OR_RETURN(const NearestPoints cloud, NearestPoints::Create(m.cloud));
  const std::vector<int32_t> order = MortonOrder(m.pool);
  MF_RETURN_IF_ERROR(Done(reference.Distances(m.pool, order)));
  return Done(cloud.Distances(m.pool, order));
}

absl::Status DistanceField(const Model& m, int g) {
  std::vector<uint8_t> occupancy = Occupancy(m.cloud, g);
  Dilate(&occupancy, g, 1);
  const std::vector<float> distance = UnsignedDistanceGrid(occupancy, g);
  return Done(SampleTrilinear(distance, g, m.pool));
}

// The distances to the cloud made anew, the file rewritten.
absl::Status MigrateFile(const std::string& path) {
  MigrateConfig config;
  config.set_what("pt_dist_pc_pool");
  config.set_overwrite(true);
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  MF_ASSIGN_OR_RETURN(const NpzReader npz, NpzReader::Open(path));
  MF_ASSIGN_OR_RETURN(const std::optional<std::string> bytes,
                      MigratedBytes(config, npz, file->bytes(), path));
  return bytes ? WriteFileAtomically(path, *bytes) : absl::InternalError("nothing was migrated");
}

double FieldBytes(int g) {
  // Occupancy twice, squared distances through three passes in 16 bits, the field; queries and answers.
  return std::pow(g, 3) * (2 + 6 * 2 + 4) + kPool * 16.0;
}

}  // namespace

absl::Status BuildShapeFile(const std::string& mesh_path, const std::string& out_path) {
  MF_ASSIGN_OR_RETURN(TriangleMesh mesh, ReadMesh(mesh_path));
  (void)DescribeMesh(mesh);
  MF_ASSIGN_OR_RETURN(const std::vector<NamedArray> arrays,
                      BuildShapeArrays(std::move(mesh), BuildCacheConfig(), 1));
  MF_ASSIGN_OR_RETURN(const std::string bytes, EncodeNpz(arrays));
  MF_RETURN_IF_ERROR(WriteFileAtomically(out_path, bytes));
  const std::span<const uint8_t> content(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  MF_RETURN_IF_ERROR(Done(Xxh3(content)));
  MF_ASSIGN_OR_RETURN(const NpzReader npz, NpzReader::Open(out_path));
  return Done(LayoutOf(npz));
}

absl::StatusOr<std::vector<BenchStage>> StagesOfModel(const std::string& path, const std::string& scratch) {
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const Model> m, Load(path, JoinPath(scratch, "shape.npz")));
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  const double text = static_cast<double>(file->bytes().size());
  const double faces = static_cast<double>(m->mesh.faces.rows());
  const double mesh_bytes = faces * 12 + static_cast<double>(m->mesh.vertices.rows()) * 24;
  MF_ASSIGN_OR_RETURN(const uint64_t file_size, StoredNpzSize(m->arrays));
  const double stored = static_cast<double>(file_size);
  const double draws = 2.0 * (3 * kCloud + 3 * kPool / 2 + 3 * kReference + 2 * kRays) + 2.55 * 3 * kPool / 2;
  const auto raw = std::make_shared<TriangleMesh>();
  MF_ASSIGN_OR_RETURN(*raw, ReadMesh(path));
  // Published figures: golden set, speed/, measured on a two-core AVX-512 machine.
  std::vector<BenchStage> stages = {
      {"whole shape, mesh file to cache file", 15, 267, text + 2 * stored, 0,
       [=] { return BuildShapeFile(m->path, m->out_path); }},
      {"  mesh file: parse, triangulate, merge", 3, 29, text + mesh_bytes, text,
       [=]() -> absl::Status {
         MF_ASSIGN_OR_RETURN(const TriangleMesh mesh, ReadMesh(m->path));
         return Done(mesh.faces);
       }},
      {"  mesh's own measures", 0, 0, mesh_bytes, faces * 40,
       [=] {
         const MeshInfo info = DescribeMesh(*raw);
         return Done(info);
       }},
      {"  normalise, all random draws", 0, 5, 0, draws * kPerWord + faces * 30, [=] { return Draw(*m); }},
      {"  nearest of 8,192 and of 2,048 points, 20,000 queries each", 4, 33, kPool * 20.0,
       kPool * (PathOperations(kReference, 16, kPerPoint) + PathOperations(kCloud, 16, kPerPoint)),
       [=] { return NearestDistances(*m); }},
      {"  occupancy, exact EDT 64^3, trilinear", 2, 27, FieldBytes(kGrid), kPool * 50.0,
       [=] { return DistanceField(*m, kGrid); }},
      {"  8,000 mesh rays, tree included", 2.5, 12, mesh_bytes + kRays * 44.0,
       faces * 40 + kRays * PathOperations(faces, 4, kPerTriangle),
       [=]() -> absl::Status {
         MF_ASSIGN_OR_RETURN(const TriangleScene scene, TriangleScene::Create(m->mesh));
         return Done(CastRays(scene, m->rays.origins, m->rays.directions));
       }},
      {"  8,000 point-cloud rays, normals included", 2, 107, kRays * 44.0, kRays * kGrid * 4.0,
       [=]() -> absl::Status {
         MF_ASSIGN_OR_RETURN(const NearestPoints tree, NearestPoints::Create(m->cloud));
         std::vector<uint8_t> occupancy = Occupancy(m->cloud, kGrid);
         Dilate(&occupancy, kGrid, 1);
         return Done(WalkPointCloud(occupancy, kGrid, m->rays.origins, m->rays.directions, tree, m->normals));
       }},
      {"  write, stored", 1, 32, 4 * stored, 0, [=] { return WriteNpz(m->out_path, m->arrays); }},
      {"exact mesh distances of 20,000 points", 35, 4820, mesh_bytes + kPool * 16.0,
       kPool * PathOperations(faces, 4, kPerTriangle),
       [=]() -> absl::Status {
         MF_ASSIGN_OR_RETURN(const TriangleScene scene, TriangleScene::Create(m->mesh));
         return Done(DistancesToMesh(scene, m->pool));
       }},
      {"exact EDT 128^3, occupancy and trilinear", 20, 0, FieldBytes(128), kPool * 50.0,
       [=] { return DistanceField(*m, 128); }},
      {"farthest point order, 2,048 of 20,000", 12, 709, kPool * 12.0,
       kPool * std::log(static_cast<double>(kOrder)) * kPerPoint,
       [=] { return Done(FarthestPointOrder(m->pool, kOrder)); }},
      {"pt_dist_pc migration, file rewritten", 6, 59, 4 * stored,
       kPool * PathOperations(kCloud, 16, kPerPoint), [=] { return MigrateFile(m->out_path); }},
  };
  // The whole computes what its parts do.
  for (const BenchStage& stage : stages) {
    if (stage.name[0] == ' ') stages[0].operations += stage.operations;
  }
  return stages;
}

}  // namespace manyform

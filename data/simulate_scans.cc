#include "data/simulate_scans.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/files.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "data/collection_builder.h"
#include "data/manifest.h"
#include "data/mesh_reader.h"
#include "data/scan_arrays.h"
#include "data/shard.h"
#include "data/simulate_scans_view.h"
#include "data/simulated_mark.h"
#include "geometry/mesh.h"
#include "geometry/triangle_scene.h"

namespace manyform {
namespace {

// Hits to choose from for each point of a scan, so that crops and drops leave enough.
constexpr double kHitsPerPoint = 1.25;
constexpr char kNote[] =
    "simulated\n"
    "These scans were made up from the shapes of a mesh cache; nothing was measured.\n";

ScanPoolOptions PoolOptions(const SimulateScansConfig& config) {
  ScanPoolOptions options;
  options.pt_pool = config.pt_pool();
  options.ray_pool = config.ray_pool();
  options.surface_ratio = config.pt_surface_ratio();
  options.surface_sigma = config.pt_surface_sigma();
  return options;
}

SensorOptions Sensor(const SimulateScansConfig& config) {
  SensorOptions options;
  options.n_points = config.n_points();
  options.noise_sigma = config.noise_sigma();
  options.crop_ratio = config.crop_ratio();
  options.drop_ratio = config.drop_ratio();
  return options;
}

// The shapes of the scan cache; a shape's source is what is seen: a mesh, or the file of the mesh cache.
absl::StatusOr<std::vector<ShapeEntry>> ListScans(const CacheManifest& meshes,
                                                  const SimulateScansConfig& config) {
  std::vector<ShapeEntry> scans;
  for (const ShapeEntry& mesh : meshes.shapes()) {
    if (mesh.has_scan()) {
      return absl::InvalidArgumentError(absl::StrCat(config.cache_root(), ": ", mesh.split(), "/",
                                                     ShapeKey(mesh), " is a scan; a mesh cache is needed"));
    }
    const uint64_t seed = uint64_t{config.seed()} + scans.size();
    if (seed > std::numeric_limits<uint32_t>::max()) {
      return BadConfigError(absl::StrCat("seed: ", config.seed(), " leaves no 32-bit seed for shape number ",
                                         scans.size(), " of ", config.cache_root()));
    }
    // Indexed caches do not know their meshes.
    const bool has_mesh = !mesh.source().empty() && FileExists(mesh.source());
    const bool as_mesh = config.view_of() == "mesh" || (config.view_of() == "auto" && has_mesh);
    if (as_mesh && mesh.source().empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(config.cache_root(), ": the manifest does not say which mesh ", mesh.split(), "/",
                       ShapeKey(mesh), " was made from; view_of=points does without"));
    }
    ShapeEntry& scan = scans.emplace_back();
    scan.set_split(mesh.split());
    scan.set_class_name(mesh.class_name());
    scan.set_id(mesh.id());
    scan.set_source(as_mesh ? mesh.source() : ShapePath(config.cache_root(), mesh));
    scan.set_seed(static_cast<uint32_t>(seed));
    MarkSimulated(&scan);
  }
  if (scans.empty()) return absl::NotFoundError(absl::StrCat(config.cache_root(), ": holds no shapes"));
  return scans;
}

absl::StatusOr<PointsD> SeeMeshFile(const std::string& path, const Eigen::Vector3d& camera,
                                    const SimulateScansConfig& config) {
  MF_ASSIGN_OR_RETURN(TriangleMesh mesh, ReadMesh(path));
  MF_RETURN_IF_ERROR(NormalizeMesh(&mesh));
  MF_ASSIGN_OR_RETURN(const TriangleScene scene, TriangleScene::Create(mesh));
  const double left = (1 - config.crop_ratio()) * (1 - config.drop_ratio());
  const double wanted = kHitsPerPoint * config.n_points() / left;
  return SeeMesh(scene, camera, static_cast<int64_t>(std::min(wanted, 1e9)));
}

absl::StatusOr<PointsF> Points(const ShapeFile& shape, const char* name) {
  MF_ASSIGN_OR_RETURN(const Array array, shape.Get(name));
  if (array.shape.size() != 2 || array.shape[1] != 3) {
    return absl::DataLossError(absl::StrCat(shape.path(), ": array ", name, " is not (N, 3)"));
  }
  MF_ASSIGN_OR_RETURN(const std::vector<float> values, array.Values<float>());
  PointsF points = Eigen::Map<const PointsF>(values.data(), array.shape[0], 3);
  if (!points.allFinite()) {
    return absl::DataLossError(absl::StrCat(shape.path(), ": array ", name, " is not finite"));
  }
  return points;
}

absl::StatusOr<std::vector<float>> Floats(const ShapeFile& shape, const char* name, int64_t size) {
  MF_ASSIGN_OR_RETURN(const Array array, shape.Get(name));
  if (array.shape != std::vector<int64_t>{size}) {
    return absl::DataLossError(absl::StrCat(shape.path(), ": array ", name, " is not (", size, ")"));
  }
  return array.Values<float>();
}

// Surface samples and what the cache's rays hit, as far as the camera sees them: the samples hide.
absl::StatusOr<PointsD> SeeCacheFile(const std::string& path, const Eigen::Vector3d& camera) {
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const ShapeFile> shape, ShapeFile::Open(path));
  MF_ASSIGN_OR_RETURN(PointsF cloud, Points(*shape, "pc_xyz"));
  MF_ASSIGN_OR_RETURN(PointsF normals, Points(*shape, "pc_n"));
  if (cloud.rows() == 0 || normals.rows() != cloud.rows()) {
    return absl::DataLossError(
        absl::StrCat(path, ": ", cloud.rows(), " points with ", normals.rows(), " normals"));
  }
  // Indexed caches do not say what they are.
  if (normals.isZero(0)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": array pc_n is zero, as a scan's is, not a mesh's"));
  }
  MF_ASSIGN_OR_RETURN(const PointsF o, Points(*shape, "ray_o_pool"));
  MF_ASSIGN_OR_RETURN(const PointsF d, Points(*shape, "ray_d_pool"));
  MF_ASSIGN_OR_RETURN(const std::vector<float> hit, Floats(*shape, "ray_hit_pool", o.rows()));
  MF_ASSIGN_OR_RETURN(const std::vector<float> t, Floats(*shape, "ray_t_pool", o.rows()));
  if (d.rows() != o.rows())
    return absl::DataLossError(absl::StrCat(path, ": ray arrays of different lengths"));
  const auto num_hits = std::count_if(hit.begin(), hit.end(), [](float h) { return h > 0.5f; });
  PointsD surface(cloud.rows() + num_hits, 3);
  surface.topRows(cloud.rows()) = cloud.cast<double>();
  Eigen::Index next = cloud.rows();
  for (Eigen::Index i = 0; i < o.rows(); ++i) {
    if (hit[i] > 0.5f) surface.row(next++) = (o.row(i) + t[i] * d.row(i)).cast<double>();
  }
  if (!surface.allFinite())
    return absl::DataLossError(absl::StrCat(path, ": array ray_t_pool is not finite"));
  MF_ASSIGN_OR_RETURN(const SurfaceDiscs discs, MakeDiscs(std::move(cloud), std::move(normals)));
  return SeePoints(surface, discs, camera);
}

absl::StatusOr<std::vector<NamedArray>> MakeScan(const SimulateScansConfig& config, ShapeEntry* shape) {
  NumpyRandomState random(shape->seed());
  const Eigen::Vector3d camera = RandomCamera(config.view_radius(), random);
  PointsD visible;
  if (shape->source() == ShapePath(config.cache_root(), *shape)) {
    MF_ASSIGN_OR_RETURN(visible, SeeCacheFile(shape->source(), camera));
  } else {
    MF_ASSIGN_OR_RETURN(visible, SeeMeshFile(shape->source(), camera, config));
  }
  if (visible.rows() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(shape->source(), ": nothing is seen from (", camera[0],
                                                   ", ", camera[1], ", ", camera[2], ")"));
  }
  const SimulatedScan scan = Sense(visible, camera, Sensor(config), random);
  ScanInfo& info = *shape->mutable_scan();
  info.set_observed_points(scan.num_observed);
  info.set_resampled(scan.num_observed < config.n_points());
  MF_ASSIGN_OR_RETURN(const PointsF cloud, NormalizeScan(scan.points));
  MF_ASSIGN_OR_RETURN(const ScanDraws draws, DrawScan(cloud.rows(), PoolOptions(config), random));
  return BuildScanArrays(cloud, PointsF(0, 3), draws, PoolOptions(config));
}

}  // namespace

absl::StatusOr<SimulateScansResult> SimulateScans(const SimulateScansConfig& given) {
  SimulateScansConfig config = given;
  FillDefaults(&config);
  NoteSeed("seed", config.seed());
  MF_RETURN_IF_ERROR(ParseShard(config.shard()).status());
  MF_ASSIGN_OR_RETURN(const CacheManifest meshes, OpenManifest(config.cache_root(), config.num_threads()));
  NoteInput(JoinPath(config.cache_root(), kManifestName), meshes.build_fingerprint());
  SimulateScansResult result;
  result.set_simulated(true);
  std::atomic<int64_t> resampled = 0;
  Collection collection;
  collection.program = "simulate_scans";
  collection.out_root = config.out_root();
  MF_ASSIGN_OR_RETURN(collection.shapes, ListScans(meshes, config));
  std::set<std::string> splits;
  for (const ShapeEntry& shape : collection.shapes) {
    splits.insert(shape.split());
    const bool points = shape.source() == ShapePath(config.cache_root(), shape);
    points ? result.set_from_points(result.from_points() + 1) : result.set_from_mesh(result.from_mesh() + 1);
  }
  LogLine(absl::StrCat("simulated scans of ", config.cache_root(), ": ", result.from_mesh(),
                       " views of meshes, ", result.from_points(), " of the cache's points"));
  collection.splits.assign(splits.begin(), splits.end());
  collection.config = &config;
  collection.overwrite = config.overwrite();
  collection.compress = config.compress();
  collection.num_threads = config.num_threads();
  collection.shard = config.shard();
  MF_ASSIGN_OR_RETURN(collection.bytes_per_shape,
                      StoredNpzSize(ScanArraysWithoutData(config.n_points(), PoolOptions(config))));
  collection.least_bytes_per_shape = LeastDeflatedSize(config.pt_pool());
  collection.notes.emplace_back(kSimulatedMark, absl::StrCat(kNote, "cache_root=", config.cache_root(),
                                                             "\nseed=", config.seed(), "\n"));
  collection.make = [&](ShapeEntry* shape) {
    absl::StatusOr<std::vector<NamedArray>> arrays = MakeScan(config, shape);
    if (arrays.ok() && shape->scan().resampled()) ++resampled;
    return arrays;
  };
  MF_ASSIGN_OR_RETURN(CollectionOutcome outcome, BuildCollection(collection));

  result.set_built(outcome.built);
  result.set_skipped(outcome.skipped);
  for (FailedShape& failed : outcome.failed) *result.add_failed() = std::move(failed);
  result.set_resampled(resampled);
  if (resampled > 0) {
    LogLine(absl::StrCat(resampled.load(), " simulated scans saw fewer than ", config.n_points(),
                         " points: others of theirs were drawn again"));
  }
  result.set_cache_bytes(outcome.cache_bytes);
  result.set_shapes_per_second(outcome.shapes_per_second);
  result.set_manifest(outcome.manifest);
  return result;
}

}  // namespace manyform

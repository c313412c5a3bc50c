#include "data/backends.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "geometry/grid.h"
#include "geometry/grid_walk.h"
#include "geometry/nearest.h"

namespace manyform {
namespace {

constexpr std::pair<std::string_view, Backend> kNames[] = {
    {"mesh", Backend::kMesh},
    {"pointcloud", Backend::kPointcloud},
    {"pointcloud_meshray", Backend::kPointcloudMeshray},
    {"pointcloud_noray", Backend::kPointcloudNoray},
    {"voxel", Backend::kVoxel},
    {"udfgrid", Backend::kUdfgrid},
};

// What the spans of Pools point into.
struct Storage {
  std::shared_ptr<const ShapeFile> shape;
  std::vector<Array> mapped;
  std::vector<std::vector<float>> floats;
  std::vector<int32_t> order;
  PointsF normals;
};

// Reads arrays of one shape into the memory that its pools will hold on to.
class PoolReader {
 public:
  explicit PoolReader(std::shared_ptr<const ShapeFile> shape) : storage_(std::make_shared<Storage>()) {
    storage_->shape = std::move(shape);
  }
  bool Has(std::string_view name) const { return shape().Has(name); }

  // (rows,3); any number of rows if `rows` < 0.
  absl::StatusOr<PointsFMap> Points(std::string_view name, int64_t rows = -1) {
    MF_ASSIGN_OR_RETURN(const Array array, shape().Get(name));
    if (array.shape.size() != 2 || array.shape[1] != 3 || (rows >= 0 && array.shape[0] != rows)) {
      return WrongShape(name, array, absl::StrCat("(", rows < 0 ? "N" : absl::StrCat(rows), ", 3)"));
    }
    MF_ASSIGN_OR_RETURN(const std::span<const float> values, InPlace(name, array));
    return PointsFMap(values.data(), array.shape[0], 3);
  }

  // (size).
  absl::StatusOr<std::span<const float>> Floats(std::string_view name, int64_t size) {
    MF_ASSIGN_OR_RETURN(const Array array, shape().Get(name));
    if (array.shape.size() != 1 || array.shape[0] != size) {
      return WrongShape(name, array, absl::StrCat("(", size, ")"));
    }
    return InPlace(name, array);
  }

  // A permutation's beginning, or nothing if an index is outside [0, pool).
  absl::StatusOr<std::span<const int32_t>> Order(std::string_view name, int64_t pool) {
    if (!Has(name)) return std::span<const int32_t>();
    MF_ASSIGN_OR_RETURN(const Array array, shape().Get(name));
    std::span<const int32_t> order;
    if (absl::StatusOr<std::span<const int32_t>> view = array.View<int32_t>(); view.ok()) {
      storage_->mapped.push_back(array);
      order = *view;
    } else {
      MF_ASSIGN_OR_RETURN(const std::vector<int64_t> wide, Named(name, array.Values<int64_t>()));
      for (const int64_t i : wide) {
        storage_->order.push_back(i < 0 || i >= pool ? -1 : static_cast<int32_t>(i));
      }
      order = storage_->order;
    }
    const bool valid = std::all_of(order.begin(), order.end(), [=](int32_t i) { return i >= 0 && i < pool; });
    return valid ? order : std::span<const int32_t>();
  }

  std::span<const float> Keep(std::vector<float> values) {
    storage_->floats.push_back(std::move(values));
    return storage_->floats.back();
  }
  PointsFMap KeepNormals(PointsF normals) {
    storage_->normals = std::move(normals);
    return PointsFMap(storage_->normals.data(), storage_->normals.rows(), 3);
  }
  std::shared_ptr<const void> storage() const { return storage_; }
  const ShapeFile& shape() const { return *storage_->shape; }

 private:
  absl::Status WrongShape(std::string_view name, const Array& array, const std::string& expected) const {
    return absl::DataLossError(absl::StrCat(shape().path(), ": array ", ToAbsl(name), " has shape (",
                                            absl::StrJoin(array.shape, ", "), "), expected ", expected));
  }
  template <class T>
  absl::StatusOr<T> Named(std::string_view name, absl::StatusOr<T> values) const {
    if (values.ok()) return values;
    return absl::DataLossError(
        absl::StrCat(shape().path(), ": array ", ToAbsl(name), ": ", values.status().message()));
  }
  // Converted only if it must be.
  absl::StatusOr<std::span<const float>> InPlace(std::string_view name, const Array& array) {
    if (absl::StatusOr<std::span<const float>> view = array.View<float>(); view.ok()) {
      storage_->mapped.push_back(array);
      return view;
    }
    MF_ASSIGN_OR_RETURN(std::vector<float> values, Named(name, array.Values<float>()));
    return Keep(std::move(values));
  }

  std::shared_ptr<Storage> storage_;
};

bool AreDistances(std::span<const float> values) {
  // No early exit: the loop is then eight values wide. NaN fails the first comparison.
  bool all = true;
  for (const float v : values) all &= (v >= 0) & (v < INFINITY);
  return all;
}

// Distances to the observed points. A cache that says what they are is believed, unless they cannot be
// distances; only one from before they were stored is answered by the mesh's.
absl::StatusOr<std::span<const float>> PointCloudDistances(PoolReader& reader, const PointsFMap& xyz) {
  if (!reader.Has("pt_dist_pc_pool")) return reader.Floats("pt_dist_pool", xyz.rows());
  MF_ASSIGN_OR_RETURN(const std::span<const float> stored, reader.Floats("pt_dist_pc_pool", xyz.rows()));
  if (AreDistances(stored)) return stored;
  MF_ASSIGN_OR_RETURN(const PointsFMap cloud, reader.Points("pc_xyz"));
  const absl::StatusOr<NearestPoints> nearest = NearestPoints::Create(cloud);
  if (!nearest.ok()) {
    return absl::DataLossError(
        absl::StrCat(reader.shape().path(), ": array pc_xyz: ", nearest.status().message()));
  }
  return reader.Keep(nearest->Distances(xyz));
}

absl::Status ReadRays(PoolReader& reader, std::string_view infix, Pools* pools) {
  const auto name = [&](std::string_view what) {
    return absl::StrCat("ray_", ToAbsl(what), ToAbsl(infix), "_pool");
  };
  const int64_t rays = pools->ray_o.rows();
  MF_ASSIGN_OR_RETURN(pools->ray_hit, reader.Floats(name("hit"), rays));
  MF_ASSIGN_OR_RETURN(pools->ray_t, reader.Floats(name("t"), rays));
  MF_ASSIGN_OR_RETURN(const PointsFMap normals, reader.Points(name("n"), rays));
  new (&pools->ray_n) PointsFMap(normals);
  return absl::OkStatus();
}

void AnswerNoRays(PoolReader& reader, Pools* pools) {
  const int64_t rays = pools->ray_o.rows();
  const std::span<const float> zeros = reader.Keep(std::vector<float>(rays * 3));
  pools->ray_hit = pools->ray_t = zeros.first(rays);
  new (&pools->ray_n) PointsFMap(zeros.data(), rays, 3);
}

absl::Status AnswerByVoxels(PoolReader& reader, const BackendOptions& options, Pools* pools) {
  const int g = options.voxel_grid;
  if (g < 1 || g > kMaxGridSide) {
    return absl::InvalidArgumentError(absl::StrCat("voxel_grid is ", g, ", expected 1 to ", kMaxGridSide));
  }
  MF_ASSIGN_OR_RETURN(const PointsFMap cloud, reader.Points("pc_xyz"));
  MF_ASSIGN_OR_RETURN(const PointsFMap normals, reader.Points("pc_n", cloud.rows()));
  const absl::StatusOr<NearestPoints> nearest = NearestPoints::Create(cloud);
  if (!nearest.ok()) {
    return absl::DataLossError(
        absl::StrCat(reader.shape().path(), ": array pc_xyz: ", nearest.status().message()));
  }
  std::vector<uint8_t> occupancy = Occupancy(cloud, g);
  Dilate(&occupancy, g, options.voxel_dilate);

  const std::vector<float> grid = DistanceGridInCells(occupancy, g);
  const std::vector<int32_t> cells = CellIndices(pools->xyz, g);
  std::vector<float> distance(cells.size());
  for (size_t i = 0; i < cells.size(); ++i) distance[i] = grid[cells[i]] * VoxelSize(g);
  pools->distance = reader.Keep(std::move(distance));

  RayAnswers answers =
      WalkPointCloud(occupancy, g, pools->ray_o, pools->ray_d, *nearest, normals,
                     {.max_steps = options.voxel_max_steps, .first_crossing = FirstCrossing::kDouble});
  pools->ray_hit = reader.Keep(std::move(answers.hit));
  pools->ray_t = reader.Keep(std::move(answers.t));
  new (&pools->ray_n) PointsFMap(reader.KeepNormals(std::move(answers.normals)));
  return absl::OkStatus();
}

absl::Status Answer(PoolReader& reader, const BackendOptions& options, Pools* pools) {
  const int64_t points = pools->xyz.rows();
  switch (options.backend) {
    case Backend::kMesh: {
      MF_ASSIGN_OR_RETURN(pools->distance, reader.Floats("pt_dist_pool", points));
      return ReadRays(reader, "", pools);
    }
    case Backend::kPointcloud:
    case Backend::kPointcloudMeshray:
    case Backend::kPointcloudNoray: {
      MF_ASSIGN_OR_RETURN(pools->distance, PointCloudDistances(reader, pools->xyz));
      const bool mesh = options.backend == Backend::kPointcloudMeshray || !reader.Has("ray_hit_pc_pool");
      return ReadRays(reader, mesh ? "" : "_pc", pools);
    }
    case Backend::kUdfgrid: {
      const bool stored = reader.Has("pt_dist_udf_pool");
      MF_ASSIGN_OR_RETURN(pools->distance,
                          reader.Floats(stored ? "pt_dist_udf_pool" : "pt_dist_pool", points));
      AnswerNoRays(reader, pools);
      return absl::OkStatus();
    }
    case Backend::kVoxel:
      return AnswerByVoxels(reader, options, pools);
  }
  return absl::InternalError("unknown backend");
}

}  // namespace

absl::StatusOr<Backend> ParseBackend(std::string_view name) {
  for (const auto& [known, backend] : kNames) {
    if (name == known) return backend;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "backend '", ToAbsl(name), "', expected one of ",
      absl::StrJoin(kNames, ", ",
                    [](std::string* out, const auto& entry) { absl::StrAppend(out, ToAbsl(entry.first)); })));
}

std::string_view BackendName(Backend backend) {
  for (const auto& [name, known] : kNames) {
    if (backend == known) return name;
  }
  return "unknown";
}

absl::StatusOr<Pools> AnswerPools(std::shared_ptr<const ShapeFile> shape, const BackendOptions& options) {
  PoolReader reader(std::move(shape));
  Pools pools;
  MF_ASSIGN_OR_RETURN(const PointsFMap xyz, reader.Points("pt_xyz_pool"));
  new (&pools.xyz) PointsFMap(xyz);
  MF_ASSIGN_OR_RETURN(pools.fps_order, reader.Order("pt_fps_order", xyz.rows()));
  MF_ASSIGN_OR_RETURN(const PointsFMap ray_o, reader.Points("ray_o_pool"));
  MF_ASSIGN_OR_RETURN(const PointsFMap ray_d, reader.Points("ray_d_pool", ray_o.rows()));
  new (&pools.ray_o) PointsFMap(ray_o);
  new (&pools.ray_d) PointsFMap(ray_d);
  pools.ray_available = options.backend != Backend::kPointcloudNoray && options.backend != Backend::kUdfgrid;
  MF_RETURN_IF_ERROR(Answer(reader, options, &pools));
  pools.storage = reader.storage();
  return pools;
}

}  // namespace manyform

#include "data/backends.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "geometry/grid.h"
#include "geometry/grid_walk.h"
#include "geometry/nearest.h"

namespace manyform {
namespace {

constexpr absl::string_view kPointPool = "pt_xyz_pool", kDistances = "pt_dist_pool", kCloud = "pc_xyz",
                            kPoolOrder = "pt_fps_order";

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

// Both without an early exit or a branch: four values at a time.
bool AreDistances(std::span<const float> values) {
  // The sign bit of what is negative, infinite or not a number; -0, which is a distance, is looked at again.
  uint32_t wrong = 0;
  for (const float v : values) {
    const auto bits = std::bit_cast<uint32_t>(v);
    wrong |= bits | (std::bit_cast<uint32_t>(std::numeric_limits<float>::max()) - bits);
  }
  return wrong >> 31 == 0 ||
         std::all_of(values.begin(), values.end(), [](float v) { return v >= 0 && v < INFINITY; });
}

bool AreIndices(std::span<const int32_t> values, int64_t n) {
  const auto last = static_cast<uint32_t>(n - 1);
  uint32_t wrong = 0;
  for (const int32_t v : values) wrong |= static_cast<uint32_t>(v) | (last - static_cast<uint32_t>(v));
  return wrong >> 31 == 0;
}

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
    return AreIndices(order, pool) ? order : std::span<const int32_t>();
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
  int64_t HeapBytes() const {
    size_t bytes = storage_->order.size() * sizeof(int32_t) + storage_->normals.size() * sizeof(float);
    for (const std::vector<float>& floats : storage_->floats) bytes += floats.size() * sizeof(float);
    return static_cast<int64_t>(bytes);
  }
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

bool SeesOnlyTheCloud(Backend backend) {
  return backend == Backend::kPointcloud || backend == Backend::kPointcloudMeshray ||
         backend == Backend::kPointcloudNoray;
}

absl::StatusOr<NearestPoints> Nearest(const PoolReader& reader, const PointsFMap& cloud) {
  absl::StatusOr<NearestPoints> nearest = NearestPoints::Create(cloud);
  if (nearest.ok()) return nearest;
  return absl::DataLossError(
      absl::StrCat(reader.shape().path(), ": array pc_xyz: ", nearest.status().message()));
}

// Distances to the observed points. A cache that says what they are is believed, unless they cannot be
// distances; only one from before they were stored is answered by the mesh's.
absl::StatusOr<std::span<const float>> PointCloudDistances(PoolReader& reader, const PointsFMap& xyz,
                                                           absl::string_view xyz_key) {
  if (xyz_key == kCloud) return reader.Keep(std::vector<float>(xyz.rows()));
  if (xyz_key == kPointPool) {
    if (!reader.Has("pt_dist_pc_pool")) return reader.Floats("pt_dist_pool", xyz.rows());
    MF_ASSIGN_OR_RETURN(const std::span<const float> stored, reader.Floats("pt_dist_pc_pool", xyz.rows()));
    if (AreDistances(stored)) return stored;
  }
  MF_ASSIGN_OR_RETURN(const PointsFMap cloud, reader.Points("pc_xyz"));
  MF_ASSIGN_OR_RETURN(const NearestPoints nearest, Nearest(reader, cloud));
  return reader.Keep(nearest.Distances(xyz));
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

std::vector<float> VoxelDistances(const std::vector<uint8_t>& occupancy, int g, const PointsFMap& points) {
  const std::vector<float> grid = DistanceGridInCells(occupancy, g);
  const std::vector<int32_t> cells = CellIndices(points, g);
  std::vector<float> distance(cells.size());
  for (size_t i = 0; i < cells.size(); ++i) distance[i] = grid[cells[i]] * VoxelSize(g);
  return distance;
}

absl::Status AnswerByVoxels(PoolReader& reader, const BackendOptions& options, Pools* pools) {
  const int g = options.voxel_grid;
  if (g < 1 || g > kMaxGridSide) {
    return absl::InvalidArgumentError(absl::StrCat("voxel_grid is ", g, ", expected 1 to ", kMaxGridSide));
  }
  MF_ASSIGN_OR_RETURN(const PointsFMap cloud, reader.Points("pc_xyz"));
  MF_ASSIGN_OR_RETURN(const PointsFMap normals, reader.Points("pc_n", cloud.rows()));
  MF_ASSIGN_OR_RETURN(const NearestPoints nearest, Nearest(reader, cloud));
  std::vector<uint8_t> occupancy = Occupancy(cloud, g);
  Dilate(&occupancy, g, options.voxel_dilate);
  if (options.dist_key == kDistances) {
    pools->distance = reader.Keep(VoxelDistances(occupancy, g, pools->xyz));
  }
  RayAnswers answers =
      WalkPointCloud(occupancy, g, pools->ray_o, pools->ray_d, nearest, normals,
                     {.max_steps = options.voxel_max_steps, .first_crossing = FirstCrossing::kDouble});
  pools->ray_hit = reader.Keep(std::move(answers.hit));
  pools->ray_t = reader.Keep(std::move(answers.t));
  new (&pools->ray_n) PointsFMap(reader.KeepNormals(std::move(answers.normals)));
  return absl::OkStatus();
}

// The voxels answer both questions at once, with the rays.
absl::Status AnswerPoints(PoolReader& reader, const BackendOptions& options, Pools* pools) {
  const int64_t points = pools->xyz.rows();
  if (options.dist_key != kDistances) {
    MF_ASSIGN_OR_RETURN(pools->distance, reader.Floats(options.dist_key, points));
  } else if (SeesOnlyTheCloud(options.backend)) {
    MF_ASSIGN_OR_RETURN(pools->distance, PointCloudDistances(reader, pools->xyz, options.xyz_key));
  } else if (options.backend == Backend::kUdfgrid && reader.Has("pt_dist_udf_pool")) {
    MF_ASSIGN_OR_RETURN(pools->distance, reader.Floats("pt_dist_udf_pool", points));
  } else if (options.backend != Backend::kVoxel) {
    MF_ASSIGN_OR_RETURN(pools->distance, reader.Floats("pt_dist_pool", points));
  }
  return absl::OkStatus();
}

absl::Status AnswerRays(PoolReader& reader, const BackendOptions& options, Pools* pools) {
  switch (options.backend) {
    case Backend::kMesh:
    case Backend::kPointcloudMeshray:
      return ReadRays(reader, "", pools);
    case Backend::kPointcloud:
    case Backend::kPointcloudNoray:
      return ReadRays(reader, reader.Has("ray_hit_pc_pool") ? "_pc" : "", pools);
    case Backend::kUdfgrid:
      AnswerNoRays(reader, pools);
      return absl::OkStatus();
    case Backend::kVoxel:
      return AnswerByVoxels(reader, options, pools);
  }
  return absl::InternalError("unknown backend");
}

absl::StatusOr<std::span<const int32_t>> FarthestOrder(PoolReader& reader, const BackendOptions& options,
                                                       int64_t points) {
  std::vector<std::string> names = {options.fps_key};
  if (options.fps_key == "auto") {
    names = {absl::StrCat(options.xyz_key, "_fps_order")};
    if (absl::StartsWith(options.xyz_key, "pc_")) names.emplace_back("pc_fps_order");
    names.emplace_back(kPoolOrder);
  }
  for (const std::string& name : names) {
    if (reader.Has(name)) return reader.Order(name, points);
  }
  if (names.back() == kPoolOrder) return std::span<const int32_t>();
  return absl::NotFoundError(absl::StrCat(reader.shape().path(), ": array \"", names.back(),
                                          "\" is not in the file; it was asked for by pt_fps_key"));
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
  if (options.xyz_key != kPointPool && !SeesOnlyTheCloud(options.backend)) {
    return absl::InvalidArgumentError(absl::StrCat("pt_xyz_key is ", options.xyz_key, ", but the backend ",
                                                   ToAbsl(BackendName(options.backend)), " answers for ",
                                                   kPointPool, " alone"));
  }
  PoolReader reader(std::move(shape));
  Pools pools;
  MF_ASSIGN_OR_RETURN(const PointsFMap xyz, reader.Points(options.xyz_key));
  new (&pools.xyz) PointsFMap(xyz);
  MF_ASSIGN_OR_RETURN(pools.fps_order, FarthestOrder(reader, options, xyz.rows()));
  pools.computed = std::make_shared<ComputedPicks>();
  MF_ASSIGN_OR_RETURN(const PointsFMap ray_o, reader.Points("ray_o_pool"));
  MF_ASSIGN_OR_RETURN(const PointsFMap ray_d, reader.Points("ray_d_pool", ray_o.rows()));
  new (&pools.ray_o) PointsFMap(ray_o);
  new (&pools.ray_d) PointsFMap(ray_d);
  pools.ray_available = options.backend != Backend::kPointcloudNoray && options.backend != Backend::kUdfgrid;
  MF_RETURN_IF_ERROR(AnswerPoints(reader, options, &pools));
  MF_RETURN_IF_ERROR(AnswerRays(reader, options, &pools));
  pools.storage = reader.storage();
  pools.heap_bytes = reader.HeapBytes();
  return pools;
}

}  // namespace manyform

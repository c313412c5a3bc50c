/// \file
/// Who answers a query: one shape, seen through one of its representations.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "data/manifest.h"
#include "geometry/types.h"

namespace manyform {

/// (N,3) in somebody else's memory.
using PointsFMap = Eigen::Map<const PointsF>;

enum class Backend { kMesh, kPointcloud, kPointcloudMeshray, kPointcloudNoray, kVoxel, kUdfgrid };

/// \error InvalidArgument with the known names.
absl::StatusOr<Backend> ParseBackend(std::string_view name);
std::string_view BackendName(Backend backend);

struct BackendOptions {
  Backend backend = Backend::kMesh;
  int voxel_grid = 64;
  int voxel_dilate = 1;
  int voxel_max_steps = 0;  ///< 0: three times the grid
  /// The points asked about: "pt_xyz_pool", or, of point-cloud backends, another array of the shape (N,3),
  /// "pc_xyz" among them.
  std::string xyz_key = "pt_xyz_pool";
  /// "pt_dist_pool" is what the backend answers, whatever array that comes from; another name is that array.
  std::string dist_key = "pt_dist_pool";
  /// The array of the farthest-point order. "auto" is the first there is of <xyz_key>_fps_order, pc_fps_order
  /// (for an xyz_key that starts with pc_) and pt_fps_order. It may be missing under "auto" and
  /// "pt_fps_order".
  std::string fps_key = "pt_fps_order";
};

/// Choices of points that take long to make and depend on the points alone: made once, by whoever first needs
/// them.
struct ComputedPicks {
  std::mutex mutex;
  std::vector<int32_t> farthest;  ///< the farthest-point order's beginning, as far as was asked for
  std::vector<int32_t> lattice;   ///< the last LatticePick
};

/// The pools of a shape and a backend's answers to them. Spans point into the shape's memory where they can,
/// else into `storage`.
struct Pools {
  PointsFMap xyz{nullptr, 0, 3};            ///< (P,3)
  std::span<const float> distance;          ///< (P)
  std::span<const int32_t> fps_order;       ///< empty if the shape has none
  std::shared_ptr<ComputedPicks> computed;  ///< null: made every time
  bool ray_available = false;               ///< whether the answers to rays may be seen
  PointsFMap ray_o{nullptr, 0, 3}, ray_d{nullptr, 0, 3},
      ray_n{nullptr, 0, 3};               ///< (R,3); ray_n is zero where nobody answers
  std::span<const float> ray_hit, ray_t;  ///< (R)
  std::shared_ptr<const void> storage;
  int64_t heap_bytes = 0;  ///< of `storage`, outside the shape's file: what was computed or converted
};

/// \error NotFound / DataLoss naming the file and array; InvalidArgument for an xyz_key that the backend does
/// not answer. Mesh distances never reach a point-cloud backend of a cache that has pt_dist_pc_pool.
absl::StatusOr<Pools> AnswerPools(std::shared_ptr<const ShapeFile> shape, const BackendOptions& options);

}  // namespace manyform

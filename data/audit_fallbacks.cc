#include <algorithm>
#include <cmath>
#include <vector>

#include "data/audit_arrays.h"

namespace manyform {
namespace {

// Queries whose distances are recomputed, evenly spaced.
constexpr int64_t kProbes = 256;
constexpr float kTolerance = 1e-3f;
// The share of probes that may disagree: half precision and other implementations' trees.
constexpr double kAgree = 0.99;

bool Same(const AuditArray* a, const AuditArray* b) {
  return a != nullptr && b != nullptr && !a->values.empty() && a->values == b->values;
}

bool AllZero(const AuditArray* array) {
  return array != nullptr &&
         std::all_of(array->values.begin(), array->values.end(), [](float v) { return v == 0; });
}

enum class Verdict { kYes, kNo, kUnknown };

// Whether `name` holds the distances from pt_xyz_pool to pc_xyz, by brute force on some queries.
Verdict IsDistanceToCloud(const AuditArrays& arrays, std::string_view name) {
  const AuditArray* distance = arrays.Find(name);
  const Eigen::Map<const PointsF> cloud = arrays.Points("pc_xyz"), pool = arrays.Points("pt_xyz_pool");
  const int64_t n = pool.rows();
  if (distance == nullptr || n == 0 || cloud.rows() == 0 ||
      static_cast<int64_t>(distance->values.size()) != n) {
    return Verdict::kUnknown;
  }
  const int64_t probes = std::min(n, kProbes);
  int64_t agree = 0;
  for (int64_t k = 0; k < probes; ++k) {
    const int64_t i = k * n / probes;
    const float squared = (cloud.rowwise() - pool.row(i)).rowwise().squaredNorm().minCoeff();
    agree += std::abs(std::sqrt(squared) - distance->values[i]) <= kTolerance ? 1 : 0;
  }
  return static_cast<double>(agree) >= kAgree * static_cast<double>(probes) ? Verdict::kYes : Verdict::kNo;
}

void CheckPointDistances(const AuditArrays& arrays, Verdict pool_is_to_cloud,
                         std::vector<Finding>* findings) {
  const AuditArray* mesh = arrays.Find("pt_dist_pool");
  const AuditArray* cloud = arrays.Find("pt_dist_pc_pool");
  if (cloud == nullptr) {
    // Only then are the mesh's distances somebody else's.
    if (mesh != nullptr && pool_is_to_cloud != Verdict::kYes) {
      findings->push_back(MakeFinding("mesh_distances_in_point_cloud", "error",
                                      "no pt_dist_pc_pool: point-cloud backends answer with pt_dist_pool, "
                                      "which is not the distance to pc_xyz"));
    }
    return;
  }
  const Verdict right = IsDistanceToCloud(arrays, "pt_dist_pc_pool");
  if (Same(cloud, mesh) && pool_is_to_cloud != Verdict::kYes) {
    findings->push_back(
        MakeFinding("mesh_distances_in_point_cloud", "error",
                    "pt_dist_pc_pool is pt_dist_pool: point-cloud backends see the mesh's distances"));
  } else if (right == Verdict::kNo) {
    findings->push_back(MakeFinding("wrong_point_cloud_distances", "error",
                                    "pt_dist_pc_pool is not the distance from pt_xyz_pool to pc_xyz"));
  }
}

void CheckRays(const AuditArrays& arrays, std::vector<Finding>* findings) {
  const AuditArray* mesh_hit = arrays.Find("ray_hit_pool");
  if (mesh_hit == nullptr) return;
  const AuditArray* hit = arrays.Find("ray_hit_pc_pool");
  if (hit == nullptr) {
    findings->push_back(
        MakeFinding("mesh_rays_in_point_cloud", "error",
                    "no ray_hit_pc_pool: the point-cloud backend answers rays with the mesh's"));
    return;
  }
  if (AllZero(mesh_hit)) return;
  if (AllZero(hit)) {
    findings->push_back(
        MakeFinding("point_cloud_rays_all_miss", "error",
                    "ray_hit_pc_pool is zero everywhere although the mesh is hit: rays were not computed"));
  } else if (Same(hit, mesh_hit) && Same(arrays.Find("ray_t_pc_pool"), arrays.Find("ray_t_pool"))) {
    findings->push_back(
        MakeFinding("mesh_rays_in_point_cloud", "error", "ray_*_pc_pool are the mesh's answers"));
  }
}

void CheckField(const AuditArrays& arrays, std::vector<Finding>* findings) {
  const AuditArray* udf = arrays.Find("pt_dist_udf_pool");
  const AuditArray* mesh = arrays.Find("pt_dist_pool");
  if (udf == nullptr) {
    if (mesh != nullptr) {
      findings->push_back(MakeFinding("mesh_distances_in_udf", "error",
                                      "no pt_dist_udf_pool: the udfgrid backend answers with pt_dist_pool"));
    }
  } else if (Same(udf, mesh)) {
    findings->push_back(MakeFinding("mesh_distances_in_udf", "error",
                                    "pt_dist_udf_pool is pt_dist_pool: the udfgrid backend sees no field"));
  }
  const AuditArray* grid = arrays.Find("udf_grid");
  if (grid != nullptr && grid->values.size() == 1) {
    findings->push_back(
        MakeFinding("udf_grid_of_one_cell", "error", "udf_grid has one cell: the field was not computed"));
  }
}

}  // namespace

std::vector<Finding> CheckFallbacks(const AuditArrays& arrays, bool scan) {
  std::vector<Finding> findings;
  const Verdict pool_is_to_cloud = IsDistanceToCloud(arrays, "pt_dist_pool");
  const bool bare =
      !arrays.Has("pt_dist_pc_pool") && !arrays.Has("pt_dist_udf_pool") && !arrays.Has("udf_grid");
  CheckPointDistances(arrays, pool_is_to_cloud, &findings);
  if (scan || (bare && pool_is_to_cloud == Verdict::kYes)) return findings;
  CheckRays(arrays, &findings);
  CheckField(arrays, &findings);
  return findings;
}

}  // namespace manyform

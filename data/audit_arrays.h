/// \file
/// The arrays of one shape as an audit looks at them: all in memory, as float, whatever they were.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/string_view.h"
#include "data/npz.h"
#include "geometry/types.h"
#include "proto/audit.pb.h"

namespace manyform {

struct AuditArray {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<float> values;  ///< C order; empty for text
};

/// Members by name; those that cannot be read are left out and named in `damage`.
class AuditArrays {
 public:
  static AuditArrays Read(const NpzReader& npz, bool verify);
  explicit AuditArrays(std::map<std::string, AuditArray> arrays) : arrays_(std::move(arrays)) {}
  AuditArrays() = default;
  const AuditArray* Find(std::string_view name) const;
  bool Has(std::string_view name) const { return Find(name) != nullptr; }
  /// As points if it is (N,3); without rows otherwise.
  Eigen::Map<const PointsF> Points(std::string_view name) const;
  const std::map<std::string, AuditArray>& all() const { return arrays_; }
  const std::vector<std::string>& damage() const { return damage_; }

 private:
  std::map<std::string, AuditArray> arrays_;
  std::vector<std::string> damage_;
};

/// kind, severity and text; who calls adds where. `severity` is "error" or "warning".
Finding MakeFinding(absl::string_view kind, absl::string_view severity, std::string text,
                    const std::vector<double>& numbers = {});

/// What arrays cannot be and still be what their names say. Kinds: not_finite, out_of_cube,
/// negative_distance, not_unit, not_binary, index_out_of_range, repeated_index, wrong_dtype, wrong_shape.
std::vector<Finding> CheckArrayValues(const AuditArrays& arrays);

/// Backends that would answer with somebody else's numbers (data/backends.h). Kinds:
/// mesh_distances_in_point_cloud (pt_dist_pc_pool is missing or equal to mesh distances that are not the
/// distances to pc_xyz), wrong_point_cloud_distances, mesh_rays_in_point_cloud (missing or equal),
/// point_cloud_rays_all_miss, mesh_distances_in_udf (missing or equal), udf_grid_of_one_cell.
/// Scans (`scan`, or recognised by having neither point-cloud nor field distances but pt_dist_pool measured
/// to pc_xyz) have nothing else to answer with.
std::vector<Finding> CheckFallbacks(const AuditArrays& arrays, bool scan);

}  // namespace manyform

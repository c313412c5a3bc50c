/// \file
/// The arrays of one cached scan, computed from its observed points.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "base/numpy_random.h"
#include "data/npz.h"
#include "geometry/types.h"

namespace manyform {

/// Subtracts the mean and divides by the largest norm (1 if that is < 1e-9): single precision throughout, the
/// mean summed row by row, as the published system does. \error InvalidArgument, with the row, for a
/// coordinate that is not finite, or too large to be squared. \pre at least one row
absl::StatusOr<PointsF> NormalizeScan(const PointsF& points);
/// The same in double, then rounded, for clouds far from the origin.
absl::StatusOr<PointsF> NormalizeScan(const PointsD& points);

struct ScanPoolOptions {
  int64_t pt_pool = 2000;
  int64_t ray_pool = 1000;
  double surface_ratio = 0.5;
  double surface_sigma = 0.02;
};

/// What a scan draws, whatever its points are.
struct ScanDraws {
  PointsF uniform;            ///< in [-1,1)^3: round((1 - surface_ratio) pt_pool), half to even
  std::vector<int64_t> rows;  ///< of the cloud, for the rest; with replacement if the cloud has fewer
  PointsF jitter;             ///< added to those
};
/// In the published order: uniform, rows, jitter. \error InvalidArgument if num_points < 1.
absl::StatusOr<ScanDraws> DrawScan(int64_t num_points, const ScanPoolOptions& options,
                                   NumpyRandomState& random);

/// Which n of num_points rows are kept: all, in order, if they are as many; n of more, without replacement;
/// of fewer, all and then rows drawn with replacement. \pre num_points >= 1
std::vector<int64_t> PickScanPoints(int64_t num_points, int64_t n, NumpyRandomState& random);
PointsF TakeRows(const PointsF& points, const std::vector<int64_t>& rows);

/// M points, P = pt_pool, R = ray_pool: pc_xyz, pc_n (M,3), pt_xyz_pool (P,3), pt_dist_pool (P): distance to
/// the nearest of pc_xyz; ray_o_pool, ray_d_pool (R,3), ray_hit_pool, ray_t_pool (R), ray_n_pool (R,3): zero.
/// All f4. `normals` is (M,3), or without rows, which stands for zeros. \pre draws of M points and the
/// options
absl::StatusOr<std::vector<NamedArray>> BuildScanArrays(const PointsF& cloud, const PointsF& normals,
                                                        const ScanDraws& draws,
                                                        const ScanPoolOptions& options);
/// The same names, dtypes and shapes without content (data is null).
std::vector<NamedArray> ScanArraysWithoutData(int64_t num_points, const ScanPoolOptions& options);

}  // namespace manyform

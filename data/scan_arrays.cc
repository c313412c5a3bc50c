#include "data/scan_arrays.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "geometry/nearest.h"

namespace manyform {
namespace {

template <class Points>
absl::Status CheckFinite(const Points& points) {
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    for (int k = 0; k < 3; ++k) {
      if (std::isfinite(points(i, k))) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("point ", i, ": coordinate ", points(i, k), " is not finite"));
    }
  }
  return absl::OkStatus();
}

// Eigen sums in another order, which the last bit shows.
template <class T, class Points>
absl::StatusOr<Points> Normalize(Points points) {
  MF_RETURN_IF_ERROR(CheckFinite(points));
  T mean[3] = {};
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    for (int k = 0; k < 3; ++k) mean[k] += points(i, k);
  }
  for (T& m : mean) m /= static_cast<T>(points.rows());
  T scale = 0;
  bool finite = true;
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    for (int k = 0; k < 3; ++k) points(i, k) -= mean[k];
    const T x = points(i, 0), y = points(i, 1), z = points(i, 2);
    const T norm = std::sqrt((x * x + y * y) + z * z);
    finite = finite && std::isfinite(norm);
    scale = std::max(scale, norm);
  }
  if (!finite) return absl::InvalidArgumentError("coordinates are too large to be squared");
  if (static_cast<double>(scale) < 1e-9) scale = 1;
  points /= scale;
  return points;
}

Array Floats(std::vector<float> values, std::vector<int64_t> shape) {
  return MakeArray(std::move(values), std::move(shape));
}

Array Points(const PointsF& points) {
  return Floats({points.data(), points.data() + points.size()}, {points.rows(), 3});
}

}  // namespace

absl::StatusOr<PointsF> NormalizeScan(const PointsF& points) { return Normalize<float>(points); }

absl::StatusOr<PointsF> NormalizeScan(const PointsD& points) {
  MF_ASSIGN_OR_RETURN(const PointsD normalized, Normalize<double>(points));
  return PointsF(normalized.cast<float>());
}

absl::StatusOr<ScanDraws> DrawScan(int64_t num_points, const ScanPoolOptions& options,
                                   NumpyRandomState& random) {
  if (num_points < 1) return absl::InvalidArgumentError("a scan without points");
  const auto num_uniform = static_cast<int64_t>(
      std::nearbyint((1.0 - options.surface_ratio) * static_cast<double>(options.pt_pool)));
  const int64_t num_surface = options.pt_pool - num_uniform;
  ScanDraws draws{PointsF(num_uniform, 3), {}, PointsF(num_surface, 3)};
  for (Eigen::Index i = 0; i < draws.uniform.size(); ++i) {
    draws.uniform.data()[i] = static_cast<float>(random.Uniform(-1, 1));
  }
  MF_ASSIGN_OR_RETURN(draws.rows,
                      random.Choice(num_points, num_surface, /*replace=*/num_points < num_surface));
  for (Eigen::Index i = 0; i < draws.jitter.size(); ++i) {
    draws.jitter.data()[i] = static_cast<float>(0.0 + options.surface_sigma * random.Normal());
  }
  return draws;
}

std::vector<int64_t> PickScanPoints(int64_t num_points, int64_t n, NumpyRandomState& random) {
  if (num_points > n) {
    std::vector<int64_t> rows = random.Permutation(num_points);
    rows.resize(n);
    return rows;
  }
  std::vector<int64_t> rows(n);
  std::iota(rows.begin(), rows.begin() + num_points, 0);
  for (int64_t i = num_points; i < n; ++i) rows[i] = random.RandInt(0, num_points);
  return rows;
}

PointsF TakeRows(const PointsF& points, const std::vector<int64_t>& rows) {
  PointsF taken(static_cast<Eigen::Index>(rows.size()), 3);
  for (Eigen::Index i = 0; i < taken.rows(); ++i) taken.row(i) = points.row(rows[i]);
  return taken;
}

absl::StatusOr<std::vector<NamedArray>> BuildScanArrays(const PointsF& cloud, const PointsF& normals,
                                                        const ScanDraws& draws,
                                                        const ScanPoolOptions& options) {
  MF_ASSIGN_OR_RETURN(const NearestPoints nearest, NearestPoints::Create(cloud));
  const int64_t num_points = cloud.rows(), p = options.pt_pool, r = options.ray_pool;
  PointsF pool(p, 3);
  pool.topRows(draws.uniform.rows()) = draws.uniform;
  pool.bottomRows(draws.jitter.rows()) = TakeRows(cloud, draws.rows) + draws.jitter;
  pool = pool.cwiseMax(-1.f).cwiseMin(1.f).eval();

  const auto zeros = [](std::vector<int64_t> shape) {
    int64_t n = 1;
    for (const int64_t side : shape) n *= side;
    return Floats(std::vector<float>(n), std::move(shape));
  };
  std::vector<NamedArray> arrays;
  arrays.push_back({"pc_xyz", Points(cloud)});
  arrays.push_back({"pc_n", normals.rows() == 0 ? zeros({num_points, 3}) : Points(normals)});
  arrays.push_back({"pt_xyz_pool", Points(pool)});
  arrays.push_back({"pt_dist_pool", Floats(nearest.Distances(pool), {p})});
  arrays.push_back({"ray_o_pool", zeros({r, 3})});
  arrays.push_back({"ray_d_pool", zeros({r, 3})});
  arrays.push_back({"ray_hit_pool", zeros({r})});
  arrays.push_back({"ray_t_pool", zeros({r})});
  arrays.push_back({"ray_n_pool", zeros({r, 3})});
  return arrays;
}

std::vector<NamedArray> ScanArraysWithoutData(int64_t num_points, const ScanPoolOptions& options) {
  const int64_t p = options.pt_pool, r = options.ray_pool;
  std::vector<NamedArray> arrays;
  const auto add = [&](const char* name, std::vector<int64_t> shape) {
    arrays.push_back({name, Array{DType::kF32, 4, std::move(shape)}});
  };
  add("pc_xyz", {num_points, 3});
  add("pc_n", {num_points, 3});
  add("pt_xyz_pool", {p, 3});
  add("pt_dist_pool", {p});
  add("ray_o_pool", {r, 3});
  add("ray_d_pool", {r, 3});
  add("ray_hit_pool", {r});
  add("ray_t_pool", {r});
  add("ray_n_pool", {r, 3});
  return arrays;
}

}  // namespace manyform

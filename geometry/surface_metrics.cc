#include "geometry/surface_metrics.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "geometry/mesh.h"
#include "geometry/nearest.h"

namespace manyform {
namespace {

absl::Status Check(const SurfacePoints& surface, absl::string_view which) {
  if (surface.points.rows() == 0) {
    return absl::InvalidArgumentError(absl::StrCat("the ", which, " surface has no points to compare"));
  }
  if (surface.normals.rows() != 0 && surface.normals.rows() != surface.points.rows()) {
    return absl::InvalidArgumentError(absl::StrFormat("the %s surface has %d normals for %d points", which,
                                                      surface.normals.rows(), surface.points.rows()));
  }
  for (Eigen::Index i = 0; i < surface.points.rows(); ++i) {
    if (!surface.points.row(i).allFinite()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("point %d of the %s surface is not finite", i, which));
    }
  }
  return absl::OkStatus();
}

// From each of one surface's points to the nearest of the other.
struct OneWay {
  std::vector<double> squared;
  double mean = 0, mean_squared = 0, mean_cosine = 0;
};

absl::StatusOr<OneWay> Compare(const SurfacePoints& from, const SurfacePoints& to) {
  MF_ASSIGN_OR_RETURN(const NearestPoints nearest, NearestPoints::Create(to.points));
  const std::vector<int32_t> indices = nearest.Indices(from.points);
  const bool has_normals = from.normals.rows() > 0 && to.normals.rows() > 0;
  OneWay way;
  for (Eigen::Index i = 0; i < from.points.rows(); ++i) {
    const double squared =
        (from.points.row(i).cast<double>() - to.points.row(indices[i]).cast<double>()).squaredNorm();
    way.squared.push_back(squared);
    way.mean += std::sqrt(squared);
    way.mean_squared += squared;
    if (!has_normals) continue;
    way.mean_cosine +=
        std::abs(from.normals.row(i).cast<double>().dot(to.normals.row(indices[i]).cast<double>()));
  }
  const auto count = static_cast<double>(from.points.rows());
  way.mean /= count;
  way.mean_squared /= count;
  way.mean_cosine = has_normals ? way.mean_cosine / count : std::numeric_limits<double>::quiet_NaN();
  return way;
}

double ShareWithin(const OneWay& way, double tau) {
  int64_t within = 0;
  for (const double squared : way.squared) within += std::sqrt(squared) <= tau;
  return static_cast<double>(within) / static_cast<double>(way.squared.size());
}

FScore FScoreAt(const OneWay& predicted, const OneWay& truth, double tau) {
  const double precision = ShareWithin(predicted, tau), recall = ShareWithin(truth, tau);
  const double sum = precision + recall;
  return {tau, precision, recall, sum > 0 ? 2 * precision * recall / sum : 0};
}

}  // namespace

SurfacePoints SurfacePointsOf(const TriangleMesh& mesh, const SurfaceSamples& samples) {
  SurfacePoints surface{samples.points.cast<float>(), PointsF(samples.points.rows(), 3)};
  for (Eigen::Index i = 0; i < samples.points.rows(); ++i) {
    surface.normals.row(i) = FaceNormal(mesh, samples.faces[i]).cast<float>();
  }
  return surface;
}

absl::StatusOr<SurfaceMetrics> CompareSurfaces(const SurfacePoints& predicted, const SurfacePoints& truth,
                                               std::span<const double> taus) {
  MF_RETURN_IF_ERROR(Check(predicted, "predicted"));
  MF_RETURN_IF_ERROR(Check(truth, "true"));
  for (const double tau : taus) {
    if (!(tau >= 0 && std::isfinite(tau))) {
      return absl::InvalidArgumentError(
          absl::StrFormat("an F-score's distance is to be finite and at least 0, not %g", tau));
    }
  }
  MF_ASSIGN_OR_RETURN(const OneWay forth, Compare(predicted, truth));
  MF_ASSIGN_OR_RETURN(const OneWay back, Compare(truth, predicted));
  SurfaceMetrics metrics{.chamfer_l1 = forth.mean + back.mean,
                         .chamfer_l2 = forth.mean_squared + back.mean_squared,
                         .normal_consistency = (forth.mean_cosine + back.mean_cosine) / 2};
  for (const double tau : taus) metrics.f_scores.push_back(FScoreAt(forth, back, tau));
  return metrics;
}

}  // namespace manyform

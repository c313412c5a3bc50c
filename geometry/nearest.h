/// \file
/// Nearest neighbours of points among points.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "geometry/types.h"

namespace manyform {

/// Distances are formed in double from the single-precision coordinates; among equally near points the
/// smallest index answers. Immutable; queries from many threads are safe.
class NearestPoints {
 public:
  /// Copies `points`. \error InvalidArgument without points, or if a coordinate is not finite.
  static absl::StatusOr<NearestPoints> Create(const PointsFRef& points);
  NearestPoints(NearestPoints&&) noexcept;
  NearestPoints& operator=(NearestPoints&&) noexcept;
  ~NearestPoints();

  struct Neighbour {
    int64_t index;
    double squared_distance;
  };
  /// A query that is not finite is answered by {0, NaN}.
  Neighbour Nearest(const float* xyz) const;
  /// `order` is the order to look queries up in, which only matters for speed: MortonOrder(queries), where
  /// the caller has it already.
  std::vector<int32_t> Indices(const PointsFRef& queries, std::span<const int32_t> order = {}) const;
  std::vector<float> Distances(const PointsFRef& queries, std::span<const int32_t> order = {}) const;
  /// The k nearest, nearest first, equally near ones by index; fewer if there are fewer points.
  std::vector<Neighbour> KNearest(const float* xyz, int64_t k) const;
  int64_t size() const;

 private:
  class Impl;
  explicit NearestPoints(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace manyform

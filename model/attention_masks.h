/// \file
/// Who may attend to whom where no rule says it: dual masking and nearest-neighbour topology.
#pragma once

#include <cstdint>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"

namespace manyform {

/// Random removal of past edges in training, more of the near ones than of the far ones or the reverse.
struct DualMask {
  double near = 0, far = 0;  ///< chance of i > j to be removed: near for i - j <= window, else far
  int64_t window = 32;       ///< 0 or less: every edge is far
  bool type_aware = false;   ///< only edges from query to query; legacy tokens count as queries
  uint32_t seed = 0;         ///< of torch's CPU generator
  bool active() const { return near > 0 || far > 0; }
};

/// (T,T) bool, true: i may not attend to j. All of the future, and the removed past; the diagonal stays. One
/// mask for the batch: a position is a query if it is one in any sequence. `type_id` (B,T) i64. The published
/// masks bit for bit on the CPU.
at::Tensor DualMaskBlocked(const DualMask& mask, const at::Tensor& type_id);

/// Where a ray query stands among point queries.
enum class RayPlace {
  kOrigin,
  kProjection,  ///< the point of the ray's line nearest to the query point it passes closest
  kBox          ///< where it enters a cube about the origin; its own origin if it misses
};
/// "origin", "proj" or "bbox". \error InvalidArgument with these.
absl::StatusOr<RayPlace> ParseRayPlace(const std::string& name);
const char* RayPlaceName(RayPlace place);

struct Topology {
  int64_t k = 0;  ///< nearest neighbours; 0: everybody
  RayPlace ray_place = RayPlace::kOrigin;
  double ray_box = 0.5;     ///< half the cube's side
  bool include_bos = true;  ///< BOS sees and is seen by all
};

/// (B,L,3): points where they are, rays by `topology`, anything else at the origin. feat (B,L,15), type_id
/// (B,L) i64 of the encoder's tokens.
at::Tensor QueryPlaces(const Topology& topology, const at::Tensor& feat, const at::Tensor& type_id);

/// (B,L,L) bool, true: may not attend: everybody but the k nearest others, oneself and BOS (token 0).
/// \pre k > 0. Of equally far ones at::topk chooses.
at::Tensor TopologyBlocked(const Topology& topology, const at::Tensor& places);

}  // namespace manyform

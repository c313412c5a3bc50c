/// \file
/// Rays through an occupancy grid over [-1,1]^3 (Amanatides & Woo 1987), in the published precision.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "geometry/nearest.h"
#include "geometry/types.h"

namespace manyform {

struct CubeCrossings {
  std::vector<uint8_t> hit;            ///< 1 if the ray touches the cube at exit >= 0
  std::vector<float> t_entry, t_exit;  ///< entry clamped to >= 0; as computed even where hit is 0
};
/// Entry and exit of the cube [-1,1]^3 by slabs.
CubeCrossings CrossCube(const PointsFRef& origins, const PointsFRef& directions);

/// The first wall crossings of a walk: the cache builder forms them in single precision, the voxel backend in
/// double. Hits are the same, depths may differ in the last bit.
enum class FirstCrossing { kSingle, kDouble };

struct GridWalkOptions {
  int max_steps = 0;  ///< cells looked at, at most; <= 0 means 3g
  FirstCrossing first_crossing = FirstCrossing::kSingle;
};

struct GridHits {
  std::vector<uint8_t> hit;
  std::vector<float> t;  ///< where the occupied cell was entered; 0 for a miss
};
/// Walks each ray from its entry into the cube to the first occupied cell. \pre occupancy.size() == g^3
GridHits WalkGrid(std::span<const uint8_t> occupancy, int g, const PointsFRef& origins,
                  const PointsFRef& directions, const GridWalkOptions& options = {});

/// A point cloud's answers: WalkGrid through its occupancy; the normal of a hit is that of the cloud's point
/// nearest to the hit position. \pre cloud was made of the points `normals` belongs to, row by row
RayAnswers WalkPointCloud(std::span<const uint8_t> occupancy, int g, const PointsFRef& origins,
                          const PointsFRef& directions, const NearestPoints& cloud, const PointsFRef& normals,
                          const GridWalkOptions& options = {});

}  // namespace manyform

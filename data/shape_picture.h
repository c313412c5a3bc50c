/// \file
/// One picture of everything a shape's file knows.
#pragma once

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/png_writer.h"
#include "data/audit_arrays.h"
#include "geometry/types.h"

namespace manyform {

struct ShapePictureOptions {
  int size = 320;   ///< side of a panel, pixels
  int up_axis = 1;  ///< 0 x, 1 y, 2 z
};

/// Rows of panels with a gap of 6 white pixels; what a shape lacks is left out:
///   the observed points from two sides; where its rays hit, as the mesh (blue) and as the point cloud
///   (orange) answers them; the pool's points near the three middle planes, coloured by pt_dist_pool (by
///   pt_dist_pc_pool if there is no other), 0 dark to 1 bright; in the first plane by pt_dist_pc_pool;
///   udf_grid in the same planes and colours, a line where it is two cells; occ_grid in the first plane.
/// The first two planes have the up axis upwards, the third is seen along it.
/// \error FailedPrecondition without pc_xyz.
absl::StatusOr<Image> PictureOfShape(const AuditArrays& arrays, const ShapePictureOptions& options);

/// The middle layer of a (G,G,G) grid as values[y][x] for RenderSlice: x along axis `right`, y along `up`.
/// Between two layers where G is even: their mean. \pre the axes differ; grid.size() == g^3
std::vector<float> MiddleLayer(std::span<const float> grid, int g, int right, int up);

}  // namespace manyform

/// \file
/// The arrays of one cached shape, computed from its mesh.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/npz.h"
#include "geometry/types.h"
#include "proto/cache.pb.h"
#include "proto/manifest.pb.h"

namespace manyform {

/// The mesh as it was read, before normalisation.
MeshInfo DescribeMesh(const TriangleMesh& mesh);

/// All random draws come from one MT(seed), in the published order: surface samples, uniform points, jittered
/// points, reference samples (kdtree distances only), rays. Arrays, in this order, P points, R rays, G the
/// distance field's side:
///   pc_xyz, pc_n (pc_points,3) f4; pt_xyz_pool (P,3), pt_dist_pool, pt_dist_pc_pool, pt_dist_udf_pool (P)
///   f4; udf_grid (G,G,G) f2, occ_grid (G,G,G) u1, df_grid, df_dilate (1) i4; ray_o_pool, ray_d_pool (R,3),
///   ray_hit_pool, ray_t_pool (R), ray_n_pool (R,3), the same three for _pc_, f4.
/// With no_udf the distance field's five, with no_pc_rays the point cloud's three are left out.
/// \error InvalidArgument for a mesh without area or that is not finite.
absl::StatusOr<std::vector<NamedArray>> BuildShapeArrays(TriangleMesh mesh, const BuildCacheConfig& config,
                                                         uint32_t seed);

/// The same names, dtypes and shapes without content (data is null).
std::vector<NamedArray> ShapeArraysWithoutData(const BuildCacheConfig& config);

/// Grid sides and counts that the range of a single field does not cover. \error InvalidArgument with the
/// field's name.
absl::Status CheckShapeOptions(const BuildCacheConfig& config);

}  // namespace manyform

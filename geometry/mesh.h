/// \file
/// A mesh's own measures, and the cleaning its readers owe the published protocol.
#pragma once

#include <cstdint>
#include <vector>

#include "Eigen/Core"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "geometry/types.h"

namespace manyform {

/// Faces and vertices are there, every index is a vertex, every coordinate is finite.
/// \error InvalidArgument naming the first offender.
absl::Status ValidateMesh(const TriangleMesh& mesh);

/// What the published loader does to one chunk of a file: vertices that are not finite go (and with them the
/// faces that use them), vertices no face uses go, vertices equal after rounding to 1e-8 become the first of
/// them; order of first appearance. With `uv` (one row per vertex) vertices whose texture coordinates differ
/// after rounding to 1e-4 stay apart. Degenerate and duplicate faces stay.
/// \error InvalidArgument if a face index is not a vertex, or uv has another number of rows.
absl::StatusOr<TriangleMesh> MergeVertices(const TriangleMesh& mesh, const UvD* uv = nullptr);

/// One mesh after another; nothing is merged across them.
TriangleMesh ConcatenateMeshes(const std::vector<TriangleMesh>& meshes);

/// Row 0 the smallest, row 1 the largest coordinates. \pre at least one vertex
Eigen::Matrix<double, 2, 3, Eigen::RowMajor> Bounds(const PointsD& points);

/// Moves the bounding box's centre to the origin and divides by the largest vertex norm (by 1 if < 1e-9).
/// \error InvalidArgument as ValidateMesh.
absl::Status NormalizeMesh(TriangleMesh* mesh);

/// (F,3) unit normals; zero for a face without area.
PointsD FaceNormals(const TriangleMesh& mesh);
/// The same of one face.
Eigen::RowVector3d FaceNormal(const TriangleMesh& mesh, Eigen::Index face);
std::vector<double> FaceAreas(const TriangleMesh& mesh);
/// Running sum of FaceAreas, first to last; the last entry is the total area.
std::vector<double> FaceAreaCumsum(const TriangleMesh& mesh);
double TotalArea(const TriangleMesh& mesh);

/// Every edge belongs to exactly two faces. Faces that repeat a vertex are counted as they stand.
bool IsWatertight(const TriangleMesh& mesh);
/// Sets of faces that shared vertices join, directly or through others. 0 without faces.
int64_t CountComponents(const TriangleMesh& mesh);
/// Signed: positive if faces are counter-clockwise seen from outside. Meaningful for watertight meshes; of
/// others it is what their faces enclose with the centre of the bounding box.
double Volume(const TriangleMesh& mesh);

}  // namespace manyform

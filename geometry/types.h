/// \file
/// Points, faces and meshes as dense row-major arrays, laid out as the cache files store them.
#pragma once

#include <cstdint>
#include <vector>

#include "Eigen/Core"

namespace manyform {

/// (N,3), x y z. Single precision at rest, double where a predicate needs it.
using PointsF = Eigen::Matrix<float, Eigen::Dynamic, 3, Eigen::RowMajor>;
using PointsD = Eigen::Matrix<double, Eigen::Dynamic, 3, Eigen::RowMajor>;
/// A view of PointsF, of mapped memory or of a block of rows; copies nothing.
using PointsFRef = Eigen::Ref<const PointsF>;
/// (N,3) vertex indices, counter-clockwise seen from outside.
using Faces = Eigen::Matrix<int32_t, Eigen::Dynamic, 3, Eigen::RowMajor>;
/// (N,2) texture coordinates.
using UvD = Eigen::Matrix<double, Eigen::Dynamic, 2, Eigen::RowMajor>;

struct TriangleMesh {
  PointsD vertices;
  Faces faces;
};

/// Rays by row; directions have unit length up to rounding.
struct Rays {
  PointsF origins;
  PointsF directions;
};

/// What a shape answers to rays; a miss is zero everywhere.
struct RayAnswers {
  std::vector<float> hit;  ///< 0 or 1
  std::vector<float> t;    ///< depth along the unit direction
  PointsF normals;
};

}  // namespace manyform

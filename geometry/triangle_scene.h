/// \file
/// A mesh made ready for closest-point and ray queries (Embree's bounding volume hierarchy).
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "geometry/types.h"

namespace manyform {

/// Immutable; queries from many threads are safe. Keeps its own copy of the mesh in double.
class TriangleScene {
 public:
  /// \error InvalidArgument as ValidateMesh; Internal if Embree fails.
  static absl::StatusOr<TriangleScene> Create(const TriangleMesh& mesh);
  TriangleScene(TriangleScene&&) noexcept;
  TriangleScene& operator=(TriangleScene&&) noexcept;
  ~TriangleScene();

  /// Corner-wise copies for the exact kernels, and Embree's scene.
  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit TriangleScene(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace manyform

/// \file
/// Vectors of a split's shapes, and the .npz they are passed on in.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/npz.h"
#include "proto/record.pb.h"

namespace manyform {

struct EmbeddedShapes {
  std::vector<float> embedding;          ///< (n,d), row-major
  int64_t features = 0;                  ///< d
  std::vector<int64_t> labels;           ///< (n), into class_names
  std::vector<std::string> class_names;  ///< distinct
  std::vector<std::string> keys;         ///< (n), class/id
  ResultRecord record;                   ///< how they were made; empty if nobody says

  int64_t size() const { return static_cast<int64_t>(labels.size()); }
};

/// Whether both are vectors of the same shapes of one split, perhaps through different backends.
bool SameShapes(const EmbeddedShapes& a, const EmbeddedShapes& b);

/// Arrays embedding (n,d) f32, label (n) i64, class_names and key (n) of NumPy's unicode, and record, (1)
/// unicode: a ResultRecord as JSON. Written atomically.
absl::Status WriteEmbeddings(const std::string& path, const EmbeddedShapes& shapes);

/// Floats and integers of any width are taken; `record` may be missing.
/// \error as NpzReader; InvalidArgument naming path and array: another shape or dtype, no rows, a value that
/// is not finite, a label that is no class, a repeated class name.
absl::StatusOr<EmbeddedShapes> ReadEmbeddings(const std::string& path);
absl::StatusOr<EmbeddedShapes> EmbeddingsIn(const NpzReader& npz, const std::string& path);

}  // namespace manyform

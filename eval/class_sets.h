/// \file
/// Classes of two sets of shapes, matched by name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "eval/embedding_file.h"

namespace manyform {

/// Names of `from` that `others` has not.
std::vector<std::string> Missing(std::span<const std::string> from, std::span<const std::string> others);

/// OK if both hold the same names, in any order. \error InvalidArgument that names those which one of them
/// lacks: "`what` has 'a', 'b', which the classifier does not know; and has none of its 'c'".
absl::Status CheckSameClasses(const std::string& what, std::span<const std::string> classes,
                              std::span<const std::string> known);

/// The labels of `shapes` as indices into `class_names`. \error InvalidArgument naming classes of its shapes
/// that are not there.
absl::StatusOr<std::vector<int64_t>> RelabelledAs(std::span<const std::string> class_names,
                                                  const EmbeddedShapes& shapes);

}  // namespace manyform

/// \file
/// The error that stops a run whose numbers are none any more.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace manyform {

/// Internal: "the loss is nan at step 7 (epoch 1), shapes ball/a, box/b; last good checkpoint: <path>". Of
/// many shapes the first eight are named.
inline absl::Status NotFiniteError(absl::string_view what, double value, int64_t step, int64_t epoch,
                                   std::vector<std::string> shapes, absl::string_view checkpoint) {
  constexpr size_t kNamed = 8;
  const bool more = shapes.size() > kNamed;
  if (more) shapes.resize(kNamed);
  return absl::InternalError(absl::StrCat(what, " is ", value, " at step ", step, " (epoch ", epoch,
                                          "), shapes ", absl::StrJoin(shapes, ", "), more ? ", ..." : "",
                                          "; last good checkpoint: ", checkpoint));
}

}  // namespace manyform

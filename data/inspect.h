/// \file
/// Looking at what one trains on: a shape's arrays, a cache's manifest.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "data/audit_arrays.h"
#include "data/npz.h"
#include "proto/audit.pb.h"
#include "proto/inspect.pb.h"

namespace manyform {

/// A shape (`shape`, or `cache_root` with `split` and `key`) or a manifest (`cache_root` alone): prints
/// tables, returns what they say, and writes the picture if asked. A shape opened through a cache is also
/// compared with its manifest; remarks are what an audit would find (data/audit_arrays.h). \error
/// InvalidArgument for options that do not go together; NotFound; DataLoss for a file that cannot be read;
/// FailedPrecondition for a picture of a shape without pc_xyz.
absl::StatusOr<InspectResult> Inspect(const InspectConfig& config);

/// One row an array: type, shape, how it is stored, range, mean, values that are not finite. Text and empty
/// arrays have no range. Min, max and mean are of the finite values.
InspectResult SummarizeShape(const NpzReader& npz, const AuditArrays& arrays);

}  // namespace manyform

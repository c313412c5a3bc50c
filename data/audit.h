/// \file
/// What an experiment on a cache should know before it begins.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "proto/audit.pb.h"

namespace manyform {

/// Looks at every shape of the chosen roots and splits, prints the findings and returns them. Checks and
/// their kinds of findings:
///   fallback, values: data/audit_arrays.h; layout_differs belongs to values;
///   source: missing_file (listed, not there), dangling_link, changed_file (size, checksum or arrays are not
///     the manifest's), damaged_file (cannot be read, or a checksum of its own differs), unlisted_file,
///     manifest_damaged, failed_shape, view_incomplete;
///   balance, overlap, duplicate: data/audit_collection.h.
/// A file that cannot be read is reported whatever is chosen. The result does not depend on num_threads.
/// \error NotFound for a root that is no folder or has no shapes; InvalidArgument for a root given twice;
/// Cancelled.
absl::StatusOr<AuditResult> Audit(const AuditConfig& config);

/// As the terminal shows them: a table of counts, then each kind's findings, `max_shown` of them.
std::string FindingsText(const AuditResult& result, int max_shown);

}  // namespace manyform

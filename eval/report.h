/// \file
/// //eval:report: results, curves and pictures on one page that needs nothing but itself.
#pragma once

#include "absl/status/statusor.h"
#include "proto/eval.pb.h"

namespace manyform {

/// Writes config.output atomically. \error as the readers of its inputs; NotFound for a pictured shape that
/// is not in the split.
absl::StatusOr<ReportResult> MakeReport(const ReportConfig& config);

}  // namespace manyform

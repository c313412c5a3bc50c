/// \file
/// //eval:status: how far an experiment is, cell by cell, on a terminal and as a page.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "eval/experiment.h"
#include "proto/experiment.pb.h"

namespace manyform {

/// The state of every run of the plan. What a run folder cannot say is the state of its cell, never an error.
StatusResult ReadStatus(const ExperimentPlan& plan, const std::string& out_root);

/// Prints the board and writes the page, once, or until all is done or the user interrupts.
/// \error as ReadExperiment, PlanExperiment and files.h.
absl::StatusOr<StatusResult> ShowStatus(const StatusConfig& config);

}  // namespace manyform

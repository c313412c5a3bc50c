/// \file
/// An experiment's declaration as one config file a run and the dependencies between runs, for make.
#pragma once

#include "absl/status/statusor.h"
#include "proto/experiment.pb.h"

namespace manyform {

/// Writes below out_root:
///   experiment.textproto            the declarations merged
///   jobs/<run>.textproto            the run's config, for pretrain or finetune
///   jobs/<corpus>.mix.textproto     its mixed corpora
///   jobs.txt                        a line a run: its number, its name, the number of the one it starts from
///   jobs.mk                         PRETRAININGS, CELLS and CACHES, and what each run's record depends on
/// A config that already has its content keeps its time, so that what hangs on it stays; the lists are
/// written always. \error as ReadExperiment, PlanExperiment and files.h; InvalidArgument for a path that
/// make could not read.
absl::StatusOr<ExpandResult> ExpandExperiment(const ExpandConfig& config);

}  // namespace manyform

/// \file
/// Experiments: the declaration of a table (proto/experiment.proto) and the runs it comes to.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/experiment.pb.h"
#include "proto/train.pb.h"

namespace manyform {

struct PlannedPretraining {
  std::string run;     ///< name of its folder below runs
  std::string corpus;  ///< empty: config.cache_root
  PretrainConfig config;
};

struct PlannedCell {
  std::string run;
  std::string measurement, method;
  int32_t fewshot_k = 0;
  int64_t seed = 0;
  std::string pretraining;  ///< the run it starts from; empty: from scratch
  FinetuneConfig config;
};

/// Everything in the order of the declaration; cells by measurement, method, K and seed.
struct ExperimentPlan {
  std::vector<PlannedPretraining> pretrainings;
  std::vector<NamedCorpus> corpora;  ///< with the caches' roots
  std::vector<PlannedCell> cells;
};

/// Merges declarations: later files win, a list as a whole. \error as MergeConfigText and files.h.
absl::StatusOr<Experiment> ReadExperiment(std::span<const std::string> paths);

/// The config of every run, complete. Below `out_root`: runs/<run>, jobs/<corpus>.mix.textproto.
/// \error InvalidArgument naming what is declared twice, refers to nothing, or is not a name; a field that
/// the plan sets (save_dir, seed ...); a value out of range.
absl::StatusOr<ExperimentPlan> PlanExperiment(const Experiment& experiment, const std::string& out_root);

std::string RunPath(const std::string& out_root, const std::string& run);
std::string MixPath(const std::string& out_root, const std::string& corpus);

/// What had to be assumed for a row: for the method, its pretraining, and the whole experiment.
std::vector<std::string> AssumptionsOf(const Experiment& experiment, const std::string& method);
/// The same under a table: "* a, b: what", a line for each thing assumed.
std::vector<std::string> AssumptionNotes(const Experiment& experiment);

}  // namespace manyform

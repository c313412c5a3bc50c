#include "eval/experiment.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/config.h"
#include "base/files.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool IsName(const std::string& name) {
  return !name.empty() && name.front() != '.' && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
  });
}

template <class T>
std::string NamesOf(const google::protobuf::RepeatedPtrField<T>& list) {
  return absl::StrJoin(list, ", ", [](std::string* out, const T& item) { *out += item.name(); });
}

template <class T>
absl::Status CheckNames(const char* field, const google::protobuf::RepeatedPtrField<T>& list) {
  std::set<std::string> seen;
  for (const T& item : list) {
    if (!IsName(item.name()))
      return absl::InvalidArgumentError(
          absl::StrCat(field, ": \"", item.name(), "\" is no name: letters, digits, _, - and . are"));
    if (!seen.insert(item.name()).second)
      return absl::InvalidArgumentError(absl::StrCat(field, ": ", item.name(), " is declared twice"));
  }
  return absl::OkStatus();
}

template <class T>
absl::StatusOr<const T*> Find(const std::string& where, const char* field,
                              const google::protobuf::RepeatedPtrField<T>& list, const std::string& name) {
  for (const T& item : list)
    if (item.name() == name) return &item;
  return absl::InvalidArgumentError(
      absl::StrCat(where, ": \"", name, "\" is none of the ", field, ": ", NamesOf(list)));
}

absl::StatusOr<std::string> RootOf(const std::string& where, const Experiment& experiment,
                                   const std::string& cache) {
  MF_ASSIGN_OR_RETURN(const NamedCache* found,
                      Find(absl::StrCat(where, ": cache_root"), "caches", experiment.caches(), cache));
  return found->root();
}

// What the plan sets would be lost if a declaration could set it too.
absl::Status CheckFree(const std::string& where, const Message& config,
                       std::initializer_list<const char*> planned) {
  for (const char* name : planned) {
    const FieldDescriptor* field = config.GetDescriptor()->FindFieldByName(name);
    if (config.GetReflection()->HasField(config, field))
      return absl::InvalidArgumentError(absl::StrCat(where, ": ", name, " follows from the declaration"));
  }
  return absl::OkStatus();
}

absl::Status CheckDeclaration(const Experiment& experiment) {
  MF_RETURN_IF_ERROR(CheckNames("caches", experiment.caches()));
  MF_RETURN_IF_ERROR(CheckNames("corpora", experiment.corpora()));
  MF_RETURN_IF_ERROR(CheckNames("pretrainings", experiment.pretrainings()));
  MF_RETURN_IF_ERROR(CheckNames("methods", experiment.methods()));
  MF_RETURN_IF_ERROR(CheckNames("measurements", experiment.measurements()));
  for (const Measurement& measurement : experiment.measurements()) {
    if (measurement.fewshot_k_size() == 0 || measurement.seeds_size() == 0)
      return absl::InvalidArgumentError(absl::StrCat("measurements: ", measurement.name(),
                                                     " needs at least one of fewshot_k and of seeds"));
  }
  if (experiment.methods_size() == 0 || experiment.measurements_size() == 0)
    return absl::InvalidArgumentError("an experiment needs methods and measurements");
  return absl::OkStatus();
}

absl::Status CheckRun(const std::string& where, const Message& config) {
  const absl::Status checked = CheckConfig(config);
  return checked.ok() ? checked : absl::InvalidArgumentError(absl::StrCat(where, ": ", checked.message()));
}

absl::StatusOr<PlannedPretraining> PlanPretraining(const Experiment& experiment, const Pretraining& declared,
                                                   const std::string& out_root) {
  const std::string where = absl::StrCat("pretrainings: ", declared.name());
  PlannedPretraining planned{
      .run = declared.name(), .corpus = declared.corpus(), .config = experiment.pretrain()};
  PretrainConfig& config = planned.config;
  config.MergeFrom(declared.config());
  MF_RETURN_IF_ERROR(CheckFree(where, config, {"save_dir", "mix_config", "record"}));
  if (declared.corpus().empty()) {
    MF_ASSIGN_OR_RETURN(*config.mutable_cache_root(), RootOf(where, experiment, config.cache_root()));
    config.clear_mix_num_samples();
    config.clear_mix_seed();
  } else {
    MF_RETURN_IF_ERROR(Find(where, "corpora", experiment.corpora(), declared.corpus()).status());
    config.clear_cache_root();
    config.set_mix_config(MixPath(out_root, declared.corpus()));
  }
  config.set_save_dir(RunPath(out_root, planned.run));
  MF_RETURN_IF_ERROR(CheckRun(where, config));
  return planned;
}

absl::StatusOr<PlannedCell> PlanCell(const Experiment& experiment, const Measurement& measurement,
                                     const Method& method, int32_t k, int64_t seed,
                                     const std::string& out_root) {
  PlannedCell cell{.run = absl::StrCat(measurement.name(), "_", method.name(), "_k", k, "_s", seed),
                   .measurement = measurement.name(),
                   .method = method.name(),
                   .fewshot_k = k,
                   .seed = seed,
                   .pretraining = method.pretraining(),
                   .config = experiment.finetune()};
  FinetuneConfig& config = cell.config;
  config.MergeFrom(measurement.finetune());
  config.MergeFrom(method.finetune());
  MF_RETURN_IF_ERROR(CheckFree(cell.run, config,
                               {"save_dir", "ckpt", "seed", "fewshot_k", "fewshot_seed", "label", "output"}));
  MF_ASSIGN_OR_RETURN(*config.mutable_cache_root(), RootOf(cell.run, experiment, config.cache_root()));
  if (!method.pretraining().empty()) {
    MF_RETURN_IF_ERROR(Find(absl::StrCat("methods: ", method.name()), "pretrainings",
                            experiment.pretrainings(), method.pretraining())
                           .status());
    config.set_ckpt(JoinPath(RunPath(out_root, method.pretraining()), "last.safetensors"));
  }
  config.set_save_dir(RunPath(out_root, cell.run));
  config.set_label(method.name());
  config.set_seed(seed);
  config.set_fewshot_k(k);
  config.set_fewshot_seed(k == 0 ? 0 : seed);
  MF_RETURN_IF_ERROR(CheckRun(cell.run, config));
  return cell;
}

absl::Status CheckRunsDiffer(const ExperimentPlan& plan) {
  std::set<std::string> runs;
  for (const PlannedPretraining& pretraining : plan.pretrainings) runs.insert(pretraining.run);
  for (const PlannedCell& cell : plan.cells) {
    if (!runs.insert(cell.run).second)
      return absl::InvalidArgumentError(absl::StrCat("two runs would be called ", cell.run));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Experiment> ReadExperiment(std::span<const std::string> paths) {
  Experiment experiment;
  for (const std::string& path : paths) {
    MF_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    MF_RETURN_IF_ERROR(MergeConfigText(text, path, &experiment));
  }
  return experiment;
}

absl::StatusOr<ExperimentPlan> PlanExperiment(const Experiment& experiment, const std::string& out_root) {
  MF_RETURN_IF_ERROR(CheckDeclaration(experiment));
  ExperimentPlan plan;
  for (const NamedCorpus& declared : experiment.corpora()) {
    NamedCorpus& corpus = plan.corpora.emplace_back(declared);
    for (MixDataset& dataset : *corpus.mutable_mix()->mutable_datasets()) {
      MF_ASSIGN_OR_RETURN(*dataset.mutable_cache_root(), RootOf(absl::StrCat("corpora: ", declared.name()),
                                                                experiment, dataset.cache_root()));
    }
  }
  for (const Pretraining& declared : experiment.pretrainings()) {
    MF_ASSIGN_OR_RETURN(PlannedPretraining planned, PlanPretraining(experiment, declared, out_root));
    plan.pretrainings.push_back(std::move(planned));
  }
  for (const Measurement& measurement : experiment.measurements()) {
    for (const Method& method : experiment.methods()) {
      for (const int32_t k : measurement.fewshot_k()) {
        for (const int64_t seed : measurement.seeds()) {
          MF_ASSIGN_OR_RETURN(PlannedCell cell, PlanCell(experiment, measurement, method, k, seed, out_root));
          plan.cells.push_back(std::move(cell));
        }
      }
    }
  }
  MF_RETURN_IF_ERROR(CheckRunsDiffer(plan));
  return plan;
}

std::string RunPath(const std::string& out_root, const std::string& run) {
  return JoinPath(JoinPath(out_root, "runs"), run);
}

std::string MixPath(const std::string& out_root, const std::string& corpus) {
  return JoinPath(JoinPath(out_root, "jobs"), absl::StrCat(corpus, ".mix.textproto"));
}

std::vector<std::string> AssumptionsOf(const Experiment& experiment, const std::string& method) {
  std::vector<std::string> assumed;
  const auto add = [&](const google::protobuf::RepeatedPtrField<std::string>& more) {
    assumed.insert(assumed.end(), more.begin(), more.end());
  };
  for (const Method& row : experiment.methods()) {
    if (row.name() != method) continue;
    add(row.assumed());
    for (const Pretraining& pretraining : experiment.pretrainings())
      if (pretraining.name() == row.pretraining()) add(pretraining.assumed());
    add(experiment.assumed());
  }
  return assumed;
}

std::vector<std::string> AssumptionNotes(const Experiment& experiment) {
  std::vector<std::pair<std::string, std::vector<std::string>>> rows_of;
  for (const Method& method : experiment.methods()) {
    for (const std::string& what : AssumptionsOf(experiment, method.name())) {
      auto found = std::find_if(rows_of.begin(), rows_of.end(),
                                [&](const auto& known) { return known.first == what; });
      if (found == rows_of.end()) found = rows_of.insert(rows_of.end(), {what, {}});
      found->second.push_back(method.name());
    }
  }
  std::vector<std::string> notes;
  notes.reserve(rows_of.size());
  for (const auto& [what, rows] : rows_of)
    notes.push_back(absl::StrCat("* ", absl::StrJoin(rows, ", "), ": ", what));
  return notes;
}

}  // namespace manyform

#include "tools/pipeline/expand.h"

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "eval/experiment.h"
#include "google/protobuf/text_format.h"

namespace manyform {
namespace {

class Folder {
 public:
  explicit Folder(std::string root) : root_(std::move(root)) {}

  absl::Status WriteConfig(const std::string& path, const char* file,
                           const google::protobuf::Message& config) {
    std::string text;
    google::protobuf::TextFormat::PrintToString(config, &text);
    return WriteIfNew(path, absl::StrCat("# proto-file: ", file, "\n# proto-message: ",
                                         config.GetDescriptor()->full_name(), "\n", text));
  }
  std::string Path(const std::string& name) const { return JoinPath(root_, name); }
  std::string Record(const std::string& run) const { return JoinPath(RunPath(root_, run), "record.binpb"); }
  std::string Job(const std::string& run) const { return Path(absl::StrCat("jobs/", run, ".textproto")); }
  int written() const { return written_; }

 private:
  absl::Status WriteIfNew(const std::string& path, const std::string& text) {
    const absl::StatusOr<std::string> there = ReadFile(path);
    if (there.ok() && *there == text) return absl::OkStatus();
    ++written_;
    return WriteFileAtomically(path, text);
  }
  const std::string root_;
  int written_ = 0;
};

// Make takes these for its own, and has no way to quote them all.
absl::Status CheckMakeCanRead(const std::string& field, const std::string& path) {
  if (!path.empty() && path.find_first_of(" \t\n\\#$%:;=|*?[]'\"&<>(){}~`") == std::string::npos)
    return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": \"", path, "\" is no path that make and a shell read as it is"));
}

std::string Variable(const std::string& name, const std::vector<std::string>& values) {
  std::string text = absl::StrCat(name, " :=");
  for (const std::string& value : values) absl::StrAppend(&text, " \\\n  ", value);
  return text + "\n";
}

std::string Manifest(const std::string& root) { return JoinPath(root, "manifest.binpb"); }

std::string JobsMakefile(const Experiment& experiment, const ExperimentPlan& plan, const Folder& folder) {
  std::vector<std::string> pretrainings, cells, caches;
  std::string rules;
  const auto depends = [&](const std::string& run, const std::string& on) {
    absl::StrAppend(&rules, folder.Record(run), ": ", on, "\n");
  };
  for (const PlannedPretraining& pretraining : plan.pretrainings) {
    pretrainings.push_back(pretraining.run);
    if (pretraining.corpus.empty()) depends(pretraining.run, Manifest(pretraining.config.cache_root()));
    for (const NamedCorpus& corpus : plan.corpora) {
      if (corpus.name() != pretraining.corpus) continue;
      depends(pretraining.run, pretraining.config.mix_config());
      std::set<std::string> roots;
      for (const MixDataset& dataset : corpus.mix().datasets()) roots.insert(dataset.cache_root());
      for (const std::string& root : roots) depends(pretraining.run, Manifest(root));
    }
  }
  for (const PlannedCell& cell : plan.cells) {
    cells.push_back(cell.run);
    depends(cell.run, Manifest(cell.config.cache_root()));
    if (!cell.pretraining.empty()) depends(cell.run, folder.Record(cell.pretraining));
  }
  for (const NamedCache& cache : experiment.caches()) caches.push_back(cache.root());
  return absl::StrCat("# Written by expand: what there is to run, and what waits for what.\n",
                      Variable("PRETRAININGS", pretrainings), Variable("CELLS", cells),
                      Variable("CACHES", caches), rules);
}

// "<number> <run> <number of the run it waits for, or ->"
std::string JobList(const ExperimentPlan& plan) {
  std::string text;
  std::map<std::string, int> numbers;
  const auto add = [&](const std::string& run, const std::string& after) {
    const int number = static_cast<int>(numbers.size());
    numbers.emplace(run, number);
    absl::StrAppend(&text, number, " ", run, " ", after.empty() ? "-" : absl::StrCat(numbers[after]), "\n");
  };
  for (const PlannedPretraining& pretraining : plan.pretrainings) add(pretraining.run, "");
  for (const PlannedCell& cell : plan.cells) add(cell.run, cell.pretraining);
  return text;
}

}  // namespace

absl::StatusOr<ExpandResult> ExpandExperiment(const ExpandConfig& config) {
  const std::vector<std::string> paths(config.experiment().begin(), config.experiment().end());
  MF_ASSIGN_OR_RETURN(const Experiment experiment, ReadExperiment(paths));
  MF_ASSIGN_OR_RETURN(const ExperimentPlan plan, PlanExperiment(experiment, config.out_root()));
  MF_RETURN_IF_ERROR(CheckMakeCanRead("out_root", config.out_root()));
  for (const NamedCache& cache : experiment.caches())
    MF_RETURN_IF_ERROR(CheckMakeCanRead(absl::StrCat("caches: ", cache.name()), cache.root()));

  Folder folder(config.out_root());
  MF_RETURN_IF_ERROR(
      folder.WriteConfig(folder.Path("experiment.textproto"), "proto/experiment.proto", experiment));
  for (const NamedCorpus& corpus : plan.corpora)
    MF_RETURN_IF_ERROR(
        folder.WriteConfig(MixPath(config.out_root(), corpus.name()), "proto/train.proto", corpus.mix()));
  for (const PlannedPretraining& pretraining : plan.pretrainings)
    MF_RETURN_IF_ERROR(
        folder.WriteConfig(folder.Job(pretraining.run), "proto/train.proto", pretraining.config));
  for (const PlannedCell& cell : plan.cells)
    MF_RETURN_IF_ERROR(folder.WriteConfig(folder.Job(cell.run), "proto/train.proto", cell.config));
  MF_RETURN_IF_ERROR(WriteFileAtomically(folder.Path("jobs.txt"), JobList(plan)));
  MF_RETURN_IF_ERROR(WriteFileAtomically(folder.Path("jobs.mk"), JobsMakefile(experiment, plan, folder)));

  ExpandResult result;
  result.set_pretrainings(static_cast<int32_t>(plan.pretrainings.size()));
  result.set_cells(static_cast<int32_t>(plan.cells.size()));
  result.set_written(folder.written());
  LogLine(absl::StrCat(config.out_root(), ": ", result.pretrainings(), " pretrainings and ", result.cells(),
                       " cells; ", result.written(), " files are new or changed"));
  return result;
}

}  // namespace manyform

#include "eval/cpac.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/config.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/result_writer.h"
#include "base/status_macros.h"
#include "eval/cpac_measure.h"
#include "eval/cpac_plan.h"
#include "eval/record.h"
#include "model/device.h"

namespace manyform {
namespace {

using Shapes = std::shared_ptr<const ShapeList>;

absl::StatusOr<Shapes> Open(const CpacConfig& config, const std::string& split) {
  MF_ASSIGN_OR_RETURN(ShapeList list, ShapeList::Open(config.cache_root(), split));
  return std::make_shared<const ShapeList>(std::move(list));
}

void Note(const ShapeList& list) {
  NoteInput(absl::StrCat(list.cache_root(), "/", list.split()), list.fingerprint());
}

/// The head's shapes; the baseline alone does without where there are none.
absl::StatusOr<Shapes> OpenHead(const CpacConfig& config, const std::string& split, bool needed) {
  absl::StatusOr<Shapes> shapes = Open(config, split);
  if (shapes.ok()) {
    if (needed) Note(**shapes);
  } else if (!needed) {
    return Shapes();
  }
  return shapes;
}

absl::StatusOr<CpacConfig> ApplySetting(const CpacConfig& config, const std::string& setting) {
  CpacConfig changed = config;
  changed.clear_settings();
  changed.clear_output();
  changed.clear_label();
  changed.clear_mesh_save_dir();  // or its meshes would replace the others'
  static const auto& shared = *new std::set<std::string, std::less<>>{
      "cache_root", "split", "ckpt", "max_len", "batch", "num_threads", "device", "settings"};
  for (const absl::string_view part : absl::StrSplit(setting, ' ', absl::SkipWhitespace())) {
    const std::string name(part.substr(0, part.find('=')));
    if (shared.contains(name))
      return BadConfigError(absl::StrCat("field settings: \"", setting, "\" changes ", name,
                                         ", which all measurements of a pass share"));
    const absl::Status applied = ApplyOverride(std::string(part), &changed);
    if (!applied.ok())
      return BadConfigError(absl::StrCat("field settings: \"", setting, "\": ", applied.message()));
  }
  const absl::Status checked = CheckConfig(changed);
  if (!checked.ok())
    return BadConfigError(absl::StrCat("field settings: \"", setting, "\": ", checked.message()));
  return changed;
}

void LogScores(const ResultRecord& record) {
  LogLine(absl::StrCat(record.label(), ": MAE ", MetricOr(record, "mae", 0), ", IoU@tau ",
                       MetricOr(record, "iou@tau", 0)));
}

}  // namespace

absl::StatusOr<std::vector<CpacConfig>> ExpandSettings(const CpacConfig& config) {
  std::vector<CpacConfig> configs = {config};
  std::set<std::string> outputs = {config.output()};
  for (const std::string& setting : config.settings()) {
    MF_ASSIGN_OR_RETURN(CpacConfig changed, ApplySetting(config, setting));
    const std::string& output = changed.output();
    if (output.empty() || !outputs.insert(output).second)
      return BadConfigError(
          absl::StrCat("field settings: \"", setting, "\" needs an output= that no other writes"));
    MF_RETURN_IF_ERROR(ResultFormatOf(output).status());
    configs.push_back(std::move(changed));
  }
  for (const CpacConfig& each : configs) {
    if (each.ckpt().empty() && !each.baseline_only())
      return BadConfigError("field ckpt is required unless baseline_only is set");
  }
  return configs;
}

absl::StatusOr<CpacResult> Cpac(const CpacConfig& config) {
  MF_ASSIGN_OR_RETURN(const std::vector<CpacConfig> configs, ExpandSettings(config));
  SetTensorThreads(config.num_threads());
  MF_ASSIGN_OR_RETURN(const c10::Device device, SelectDevice(config.device()));
  NoteSeed("eval_seed", static_cast<uint64_t>(config.eval_seed()));
  MF_ASSIGN_OR_RETURN(const Shapes shapes, Open(config, config.split()));
  Note(*shapes);
  bool heads = false;
  for (const CpacConfig& each : configs) heads |= !each.baseline_only();
  std::map<std::string, Shapes> opened;
  for (const CpacConfig& each : configs) {
    if (IsTransductive(each) || opened.contains(each.head_train_split())) continue;
    MF_ASSIGN_OR_RETURN(opened[each.head_train_split()], OpenHead(config, each.head_train_split(), heads));
  }
  const OpenSplit open_head = [&opened](const std::string& split) -> absl::StatusOr<Shapes> {
    const auto found = opened.find(split);
    return found == opened.end() ? Shapes() : found->second;
  };
  std::optional<LoadedModel> model;
  if (heads) {
    MF_ASSIGN_OR_RETURN(model, LoadModel(config.ckpt(), device));
    NoteInput(config.ckpt(), model->hash);
  }
  MF_ASSIGN_OR_RETURN(std::vector<CpacResult> results,
                      MeasureCpacs(configs, shapes, open_head, model ? &*model : nullptr));
  for (size_t i = 0; i < results.size(); ++i) {
    LogScores(results[i].record());
    if (i == 0) continue;
    *results[i].mutable_provenance() = CollectProvenance("cpac", configs[i]);
    MF_RETURN_IF_ERROR(WriteResult(configs[i].output(), results[i]));
  }
  return std::move(results[0]);
}

}  // namespace manyform

#include "model/export_checkpoint.h"

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/files.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "model/checkpoint.h"
#include "model/published_args.h"
#include "model/safetensors.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

constexpr char kEnding[] = ".safetensors";

absl::Status CheckPaths(const ExportCheckpointConfig& config) {
  std::vector<std::string> taken = {config.input()};
  for (const std::string& path : {config.output(), config.aux_output()}) {
    if (path.empty()) continue;
    if (!absl::EndsWith(path, kEnding))
      return BadConfigError(
          absl::StrCat("output, aux_output: ", path, " does not end in ", kEnding, ", which it would be"));
    for (const std::string& other : taken)
      if (path == other) return BadConfigError(absl::StrCat(path, " would be overwritten"));
    taken.push_back(path);
  }
  return absl::OkStatus();
}

std::map<std::string, std::string> Metadata(const CheckpointHeader& header, const std::string& hash) {
  std::map<std::string, std::string> metadata = {{"format", "pt"},
                                                 {"args", ArgsOfHeader(header)},
                                                 {"step", absl::StrCat(header.step())},
                                                 {"stage", header.stage()},
                                                 {"hash", hash}};
  if (header.epoch() > 0) metadata["epoch"] = absl::StrCat(header.epoch() - 1);
  if (header.class_names_size() > 0)
    metadata["class_names"] =
        nlohmann::json(std::vector<std::string>(header.class_names().begin(), header.class_names().end()))
            .dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
  return metadata;
}

std::vector<std::string> LeftOut(const Checkpoint& checkpoint, bool heads_written) {
  std::vector<std::string> left;
  if (!heads_written && !checkpoint.aux_heads.empty())
    left.push_back(absl::StrCat(checkpoint.aux_heads.size(), " tensors of heads (aux_output)"));
  if (!checkpoint.exp_avg.empty())
    left.push_back(absl::StrCat("optimizer state of ", checkpoint.exp_avg.size(), " tensors"));
  if (!checkpoint.rng.empty()) left.push_back("the run's counters");
  return left;
}

}  // namespace

absl::StatusOr<ExportCheckpointResult> ExportCheckpoint(const ExportCheckpointConfig& config) {
  MF_RETURN_IF_ERROR(CheckConfig(config));
  MF_RETURN_IF_ERROR(CheckPaths(config));
  MF_ASSIGN_OR_RETURN(const Checkpoint checkpoint, ReadCheckpoint(config.input()));
  const bool heads = !config.aux_output().empty();
  if (heads && checkpoint.aux_heads.empty())
    return absl::FailedPreconditionError(
        absl::StrCat("aux_output: ", config.input(), " has no auxiliary or classification heads"));
  ExportCheckpointResult result;
  const std::string hash = HashTensors(checkpoint.model);
  NoteInput(config.input(), hash);
  const auto metadata = Metadata(checkpoint.header, hash);
  MF_RETURN_IF_ERROR(WriteSafeTensors(config.output(), {checkpoint.model, metadata}));
  if (heads)
    MF_RETURN_IF_ERROR(WriteSafeTensors(config.aux_output(), {checkpoint.aux_heads, {{"format", "pt"}}}));

  result.set_state_dict(config.output());
  result.set_hash(hash);
  int64_t parameters = 0;
  for (const auto& [name, tensor] : checkpoint.model) parameters += tensor.numel();
  result.set_parameters(parameters);
  LogLine(
      absl::StrCat(config.output(), ": ", checkpoint.model.size(), " tensors, ", parameters, " parameters"));
  for (const std::string& what : LeftOut(checkpoint, heads)) {
    LogLine(absl::StrCat("left out: ", what));
    result.add_left_out(what);
  }
  return result;
}

}  // namespace manyform

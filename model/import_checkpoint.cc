#include "model/import_checkpoint.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "model/published_checkpoint.h"

namespace manyform {
namespace {

constexpr char kOurs[] = ".safetensors";

absl::StatusOr<Checkpoint> ReadPublished(const ImportCheckpointConfig& config,
                                         std::vector<std::string>* remarks) {
  PublishedOptions options = {.optimizer = config.optimizer()};
  if (!config.args().empty()) {
    MF_ASSIGN_OR_RETURN(options.args, ReadFile(config.args()));
  }
  if (absl::EndsWith(config.input(), kOurs)) {
    MF_ASSIGN_OR_RETURN(const SafeTensors file, ReadSafeTensors(config.input()));
    return CheckpointOfStateDict(config.input(), file, options, remarks);
  }
  MF_ASSIGN_OR_RETURN(const TorchFile file, TorchFile::Open(config.input()));
  return CheckpointOfTorchFile(config.input(), file, options, remarks);
}

}  // namespace

absl::StatusOr<ImportCheckpointResult> ImportCheckpoint(const ImportCheckpointConfig& config) {
  MF_RETURN_IF_ERROR(CheckConfig(config));
  if (!absl::EndsWith(config.output(), kOurs))
    return BadConfigError(absl::StrCat("output: ", config.output(), " does not end in ", kOurs));
  ImportCheckpointResult result;
  std::vector<std::string> remarks;
  MF_ASSIGN_OR_RETURN(const Checkpoint checkpoint, ReadPublished(config, &remarks));
  MF_ASSIGN_OR_RETURN(const std::string hash, Sha256HexOfFile(config.input()));
  NoteInput(config.input(), hash);
  MF_RETURN_IF_ERROR(WriteCheckpoint(config.output(), checkpoint));

  result.set_checkpoint(config.output());
  result.set_hash(HashTensors(checkpoint.model));
  int64_t parameters = 0;
  for (const auto& [name, tensor] : checkpoint.model) parameters += tensor.numel();
  result.set_parameters(parameters);
  result.set_epoch(checkpoint.header.epoch());
  result.set_step(checkpoint.header.step());
  result.set_aux_head_tensors(static_cast<int64_t>(checkpoint.aux_heads.size()));
  result.set_optimizer_states(static_cast<int64_t>(checkpoint.step.size()));
  for (const std::string& remark : remarks) {
    LogLine(absl::StrCat(config.input(), ": ", remark));
    result.add_remarks(remark);
  }
  LogLine(absl::StrCat(config.output(), ": ", parameters, " parameters, ", result.aux_head_tensors(),
                       " tensors of auxiliary heads, optimizer state of ", result.optimizer_states(),
                       " tensors, ", result.epoch(), " epochs, ", result.step(), " steps done"));
  return result;
}

}  // namespace manyform

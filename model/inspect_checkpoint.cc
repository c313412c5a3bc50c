#include "model/inspect_checkpoint.h"

#include <ATen/ATen.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/config.h"
#include "base/files.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "google/protobuf/text_format.h"
#include "model/checkpoint.h"
#include "model/safetensors.h"
#include "model/torch_file.h"

namespace manyform {
namespace {

using Kind = PickleValue::Kind;

std::string Number(double value) { return absl::StrFormat("%.6g", value); }

void AddMetadata(const std::string& key, const std::string& value, InspectCheckpointResult* result) {
  MetadataEntry* entry = result->add_metadata();
  entry->set_key(key);
  entry->set_value(value);
}

// Tensors below a value, by their dotted path.
void CollectTensors(const TorchFile& file, const std::string& path, const PickleValue& value,
                    NamedTensors* tensors) {
  if (const at::Tensor* tensor = file.TensorOf(value)) {
    tensors->emplace_back(path, *tensor);
    return;
  }
  const bool dict = value.kind == Kind::kDict;
  for (size_t i = 0; i < value.items.size(); i += dict ? 2 : 1) {
    const std::string key = dict ? KeyText(*value.items[i]) : absl::StrCat(i);
    CollectTensors(file, absl::StrCat(path, path.empty() ? "" : ".", key), *value.items[dict ? i + 1 : i],
                   tensors);
  }
}

NamedTensors ReadTorch(const TorchFile& file, InspectCheckpointResult* result) {
  NamedTensors tensors;
  CollectTensors(file, "", file.root(), &tensors);
  result->set_kind("torch");
  // Top-level values without tensors, as JSON.
  const PickleValue& root = file.root();
  for (size_t i = 0; root.kind == Kind::kDict && i < root.items.size(); i += 2) {
    NamedTensors inside;
    CollectTensors(file, "", *root.items[i + 1], &inside);
    if (!inside.empty()) continue;
    AddMetadata(KeyText(*root.items[i]), JsonText(*root.items[i + 1]), result);
  }
  return tensors;
}

absl::StatusOr<NamedTensors> ReadOurs(const std::string& path, InspectCheckpointResult* result) {
  MF_ASSIGN_OR_RETURN(const SafeTensors file, ReadSafeTensors(path));
  const bool ours = file.metadata.count(kCheckpointHeaderKey) > 0;
  result->set_kind(ours ? "checkpoint" : "state_dict");
  for (const auto& [key, value] : file.metadata)
    if (key != kCheckpointHeaderKey) AddMetadata(key, value, result);
  if (!ours) return file.tensors;
  MF_ASSIGN_OR_RETURN(const Checkpoint checkpoint, ReadCheckpoint(path));
  *result->mutable_header() = checkpoint.header;
  result->set_hash(HashTensors(checkpoint.model));
  return file.tensors;
}

void Measure(const at::Tensor& tensor, TensorSummary* summary) {
  const at::Tensor values = tensor.to(at::kDouble).flatten();
  const at::Tensor finite = values.masked_select(values.isfinite());
  summary->set_not_finite(values.numel() - finite.numel());
  if (finite.numel() == 0) return;
  summary->set_min(finite.min().item<double>());
  summary->set_max(finite.max().item<double>());
  summary->set_mean(finite.mean().item<double>());
  summary->set_std(finite.std(/*unbiased=*/false).item<double>());
}

// "model", "optimizer.exp_avg": what a tensor's name begins with in files that hold several things.
std::string GroupOf(const std::string& name, const std::string& kind) {
  if (kind == "state_dict") return "state_dict";
  const std::vector<std::string> parts = absl::StrSplit(name, '.');
  const bool optimizer = parts[0] == "optimizer" && parts.size() > 2;
  return optimizer && kind == "checkpoint" ? absl::StrCat(parts[0], ".", parts[1]) : parts[0];
}

bool IsOptimizer(const std::string& name) {
  return absl::StartsWith(name, "optimizer.") || absl::StartsWith(name, "opt.");
}

void Summarize(const NamedTensors& tensors, bool stats, InspectCheckpointResult* result) {
  for (const auto& [name, tensor] : tensors) {
    TensorSummary* summary = result->add_tensors();
    summary->set_name(name);
    summary->set_dtype(c10::toString(tensor.scalar_type()));
    for (const int64_t side : tensor.sizes()) summary->add_shape(side);
    summary->set_bytes(static_cast<int64_t>(tensor.nbytes()));
    if (stats) Measure(tensor, summary);
    const std::string group_name = GroupOf(name, result->kind());
    TensorGroup* group = nullptr;
    for (TensorGroup& existing : *result->mutable_groups())
      if (existing.name() == group_name) group = &existing;
    if (group == nullptr) {
      group = result->add_groups();
      group->set_name(group_name);
    }
    group->set_tensors(group->tensors() + 1);
    group->set_values(group->values() + tensor.numel());
    group->set_bytes(group->bytes() + summary->bytes());
  }
}

std::string Indented(const std::string& text) {
  std::string indented;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty()))
    absl::StrAppend(&indented, "  ", line, "\n");
  return indented;
}

std::string HeaderText(const CheckpointHeader& header) {
  CheckpointHeader rest = header;
  rest.clear_config();
  rest.clear_published_args();
  rest.clear_published_rest();
  std::string fields;
  google::protobuf::TextFormat::PrintToString(rest, &fields);
  std::string text = absl::StrCat("\nheader\n", Indented(fields));
  for (const auto& [title, content] : {std::pair("made with", &header.config()),
                                       {"published arguments", &header.published_args()},
                                       {"published beside them", &header.published_rest()}})
    if (!content->empty()) absl::StrAppend(&text, "\n", title, "\n", Indented(*content));
  return text;
}

std::string GroupTable(const InspectCheckpointResult& result) {
  std::vector<std::vector<std::string>> rows = {{"group", "tensors", "values", "bytes"}};
  for (const TensorGroup& group : result.groups())
    rows.push_back({group.name(), absl::StrCat(group.tensors()), absl::StrCat(group.values()),
                    absl::StrCat(group.bytes())});
  return AlignedTable(rows);
}

std::string TensorTable(const InspectCheckpointResult& result, const InspectCheckpointConfig& config) {
  std::vector<std::vector<std::string>> rows = {{"tensor", "dtype", "shape", "bytes"}};
  if (config.stats()) rows[0].insert(rows[0].end(), {"min", "max", "mean", "std", "not finite"});
  for (const TensorSummary& t : result.tensors()) {
    if (!config.optimizer() && IsOptimizer(t.name())) continue;
    rows.push_back({t.name(), t.dtype(), absl::StrJoin(t.shape(), " x "), absl::StrCat(t.bytes())});
    if (!config.stats()) continue;
    for (const double value : {t.min(), t.max(), t.mean(), t.std()})
      rows.back().push_back(t.has_mean() ? Number(value) : "");
    rows.back().push_back(absl::StrCat(t.not_finite()));
  }
  return rows.size() > 1 ? absl::StrCat("\n", AlignedTable(rows)) : "";
}

}  // namespace

absl::StatusOr<InspectCheckpointResult> InspectCheckpoint(const InspectCheckpointConfig& config) {
  MF_RETURN_IF_ERROR(CheckConfig(config));
  InspectCheckpointResult result;
  result.set_file(config.input());
  MF_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(config.input()));
  result.set_file_size(file->bytes().size());
  NamedTensors tensors;
  if (absl::EndsWith(config.input(), ".safetensors")) {
    MF_ASSIGN_OR_RETURN(tensors, ReadOurs(config.input(), &result));
  } else {
    MF_ASSIGN_OR_RETURN(const TorchFile torch, TorchFile::Parse(config.input(), file->bytes()));
    tensors = ReadTorch(torch, &result);
  }
  Summarize(tensors, config.stats(), &result);
  std::string text = absl::StrCat(config.input(), ": ", result.kind(), ", ", HumanBytes(result.file_size()),
                                  "\n", GroupTable(result));
  if (result.has_hash()) absl::StrAppend(&text, "hash of the weights ", result.hash(), "\n");
  if (result.has_header()) absl::StrAppend(&text, HeaderText(result.header()));
  for (const MetadataEntry& entry : result.metadata())
    absl::StrAppend(&text, "\n", entry.key(), "\n", Indented(entry.value()));
  fputs(absl::StrCat(text, TensorTable(result, config)).c_str(), stdout);
  return result;
}

}  // namespace manyform

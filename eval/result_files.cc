#include "eval/result_files.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/log.h"
#include "base/result_writer.h"
#include "base/status_macros.h"
#include "eval/record.h"

namespace manyform {
namespace {

struct RawFile {
  std::string path, bytes;
  ResultFormat format;
};

absl::StatusOr<RawFile> ReadRaw(const std::string& path) {
  RawFile file = {.path = path};
  MF_ASSIGN_OR_RETURN(file.format, ResultFormatOf(path));
  MF_ASSIGN_OR_RETURN(file.bytes, ReadFile(path));
  return file;
}

template <class T>
bool ParseMeasured(const RawFile& file, const char* stage, MeasuredFile* measured) {
  T result;
  if (!ParseResult(file.bytes, file.format, &result).ok() || result.record().stage() != stage) return false;
  measured->result = std::move(result);
  return true;
}

std::string Counts(std::initializer_list<std::pair<int64_t, const char*>> counts) {
  std::vector<std::string> parts;
  for (const auto& [count, name] : counts)
    if (count > 0) parts.push_back(absl::StrCat(count, " ", name));
  return parts.empty() ? "nothing to do" : absl::StrJoin(parts, ", ");
}

std::string SplitCounts(const google::protobuf::RepeatedPtrField<SplitCount>& counts) {
  return absl::StrJoin(counts, ", ", [](std::string* out, const SplitCount& count) {
    absl::StrAppend(out, count.split(), " ", count.shapes());
  });
}

std::string Describe(const ImportFurnitureResult& r) {
  return Counts({{r.models(), "models"}, {r.classes(), "classes"}, {r.skipped_size(), "skipped"}});
}

std::string Describe(const BuildCacheResult& r) {
  std::string text = Counts({{r.built(), "built"}, {r.skipped(), "kept"}, {r.failed_size(), "failed"}});
  if (r.cache_bytes() > 0) absl::StrAppend(&text, "; ", HumanBytes(r.cache_bytes()));
  if (r.shapes_per_second() > 0) absl::StrAppendFormat(&text, "; %.1f shapes/s", r.shapes_per_second());
  return text;
}

std::string Describe(const SplitUnpairedResult& r) { return SplitCounts(r.counts()); }

std::string Describe(const MaterializeResult& r) {
  std::string text = Counts({{r.linked(), "linked"}, {r.kept(), "kept"}, {r.missing(), "missing"}});
  if (r.counts_size() > 0) absl::StrAppend(&text, "; ", SplitCounts(r.counts()));
  return text;
}

std::string Describe(const PretrainResult& r) {
  return absl::StrFormat("%s: %d epochs, %d steps, loss %.4f; %.2f M parameters; %.1f shapes/s",
                         LabelOf(r.checkpoint()), r.epochs(), r.steps(), r.last_loss(),
                         static_cast<double>(r.parameters()) / 1e6, r.samples_per_second());
}

template <class T>
bool ParseStage(const RawFile& file, const char* program, StageSummary* summary) {
  T result;
  if (!ParseResult(file.bytes, file.format, &result).ok() || result.provenance().binary() != program)
    return false;
  *summary = {program, Describe(result), result.provenance()};
  return true;
}

}  // namespace

const ResultRecord& MeasuredFile::record() const {
  return std::visit([](const auto& r) -> const ResultRecord& { return r.record(); }, result);
}

const Provenance& MeasuredFile::provenance() const {
  return std::visit([](const auto& r) -> const Provenance& { return r.provenance(); }, result);
}

absl::StatusOr<MeasuredFile> ReadMeasuredFile(const std::string& path) {
  MF_ASSIGN_OR_RETURN(const RawFile file, ReadRaw(path));
  MeasuredFile measured = {.path = path};
  if (ParseMeasured<UcprResult>(file, "ucpr", &measured)) return measured;
  if (ParseMeasured<CpacResult>(file, "cpac", &measured)) return measured;
  if (ParseMeasured<FinetuneResult>(file, "finetune", &measured)) return measured;
  if (ParseMeasured<ClassifyResult>(file, "classify", &measured)) return measured;
  if (ParseMeasured<ProbeResult>(file, "probe", &measured)) return measured;
  return absl::InvalidArgumentError(absl::StrCat(
      path,
      ": not a result of ucpr, cpac, finetune, classify or probe (its record.stage must be one of them)"));
}

absl::StatusOr<StageSummary> ReadStageRecord(const std::string& path) {
  MF_ASSIGN_OR_RETURN(const RawFile file, ReadRaw(path));
  StageSummary summary;
  if (ParseStage<ImportFurnitureResult>(file, "import_furniture", &summary)) return summary;
  if (ParseStage<BuildCacheResult>(file, "build_cache", &summary)) return summary;
  if (ParseStage<SplitUnpairedResult>(file, "split_unpaired", &summary)) return summary;
  if (ParseStage<MaterializeResult>(file, "materialize", &summary)) return summary;
  if (ParseStage<PretrainResult>(file, "pretrain", &summary)) return summary;
  return absl::InvalidArgumentError(absl::StrCat(
      path,
      ": not a record of import_furniture, build_cache, split_unpaired, materialize or pretrain (its "
      "provenance.binary must be one of them)"));
}

}  // namespace manyform

#include "eval/report.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/html.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/result_writer.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "eval/report_sections.h"
#include "eval/report_style.h"

namespace manyform {
namespace {

struct Inputs {
  std::vector<MeasuredFile> files;
  std::vector<StageSummary> stages;
  std::vector<std::string> charts;
  Catalogue catalogue;
  std::optional<ShapePictures> shapes;
};

absl::Status Note(const std::string& path) {
  MF_ASSIGN_OR_RETURN(const std::string hash, Sha256HexOfFile(path));
  NoteInput(path, hash);
  return absl::OkStatus();
}

absl::StatusOr<Inputs> ReadInputs(const ReportConfig& config) {
  Inputs inputs;
  for (const std::string& path : config.results()) {
    MF_ASSIGN_OR_RETURN(MeasuredFile file, ReadMeasuredFile(path));
    inputs.files.push_back(std::move(file));
    MF_RETURN_IF_ERROR(Note(path));
  }
  for (const std::string& path : config.stage_records()) {
    MF_ASSIGN_OR_RETURN(StageSummary stage, ReadStageRecord(path));
    inputs.stages.push_back(std::move(stage));
    MF_RETURN_IF_ERROR(Note(path));
  }
  for (const std::string& run_dir : config.run_dirs()) {
    MF_ASSIGN_OR_RETURN(std::string charts, RunCharts(run_dir));
    inputs.charts.push_back(std::move(charts));
  }
  if (!config.catalogue().empty()) {
    MF_RETURN_IF_ERROR(ReadResult(config.catalogue(), &inputs.catalogue));
    MF_RETURN_IF_ERROR(Note(config.catalogue()));
  }
  if (!config.cache_root().empty()) {
    MF_ASSIGN_OR_RETURN(inputs.shapes,
                        ShapePictures::Create(config.cache_root(), config.split(), config.up_axis()));
  }
  return inputs;
}

std::string Lede(const Inputs& inputs, const MeasuredTable& table) {
  const size_t methods = table.rows.size();
  return absl::StrCat("<p class=\"lede\">", methods, methods == 1 ? " method" : " methods", ", ",
                      inputs.files.size(), inputs.files.size() == 1 ? " measurement" : " measurements",
                      ".</p>\n");
}

}  // namespace

absl::StatusOr<ReportResult> MakeReport(const ReportConfig& config) {
  MF_ASSIGN_OR_RETURN(Inputs inputs, ReadInputs(config));
  const MeasuredTable table = Aggregate(inputs.files);
  for (const std::string& repeated : table.repeated) LogLine(repeated);
  Pictured pictured;
  std::string retrieval;
  if (inputs.shapes.has_value()) {
    MF_ASSIGN_OR_RETURN(retrieval, RetrievalSection(inputs.files, *inputs.shapes, &pictured));
    if (inputs.shapes->without_mesh() > 0)
      LogLine(
          absl::StrCat(inputs.shapes->without_mesh(), " shapes drawn from their points: no mesh to read"));
  }
  MF_ASSIGN_OR_RETURN(const std::string fields, FieldSection(inputs.files, &pictured));
  const std::string title = EscapeHtml(config.title());
  const std::string page = absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<title>",
      title, "</title>\n<style>", ToAbsl(kReportStyle), "</style>\n</head>\n<body>\n<header>\n<h1>", title,
      "</h1>\n", Lede(inputs, table), "</header>\n<main>\n", ResultSection(table), retrieval, fields,
      CurveSection(inputs.charts), PipelineSection(inputs.stages, inputs.files),
      CreditSection(inputs.catalogue, pictured), "</main>\n", FooterSection(inputs.stages, inputs.files),
      "</body>\n</html>\n");
  MF_RETURN_IF_ERROR(WriteFileAtomically(config.output(), page));
  LogLine(absl::StrCat(config.output(), ": ", HumanBytes(page.size()), ", ", pictured.pictures, " pictures"));
  ReportResult result;
  result.set_bytes(static_cast<int64_t>(page.size()));
  result.set_pictures(pictured.pictures);
  return result;
}

}  // namespace manyform

#include "eval/table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/config.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

constexpr char kPartial[] = "†";

std::string NumberText(double value, const TableColumn& column) {
  if (!std::isfinite(value)) return "n/a";
  return column.percent ? absl::StrFormat("%.1f", value * 100) : absl::StrFormat("%.4f", value);
}

bool IsPartial(const TableCell& cell, const TableColumn& column) { return cell.n() < column.most_seeds; }

bool AnyPartial(const MeasuredTable& table) {
  for (const TableRow& row : table.rows) {
    for (const TableColumn& column : table.columns) {
      const TableCell* cell = FindCell(row, column);
      if (cell != nullptr && !std::isnan(cell->mean()) && IsPartial(*cell, column)) return true;
    }
  }
  return false;
}

std::string HeaderText(const TableColumn& column) {
  return absl::StrCat(column.name, column.percent ? " %" : "", column.lower_is_better ? " ↓" : " ↑");
}

std::vector<std::string> Notes(const MeasuredTable& table) {
  std::vector<std::string> notes = {
      "Means over seeds ± population standard deviation (number of seeds); ↑ higher is better, ↓ lower."};
  if (AnyPartial(table))
    notes.push_back(absl::StrCat(kPartial, " fewer seeds than declared, or than others in the column."));
  notes.insert(notes.end(), table.assumed.begin(), table.assumed.end());
  if (const std::string note = SimulatedNote(table); !note.empty()) notes.push_back(note);
  for (const std::string& mixed : table.mixed) notes.push_back(absl::StrCat("Mixed protocols: ", mixed, "."));
  return notes;
}

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

}  // namespace

std::string CellText(const TableCell* cell, const TableColumn& column) {
  if (cell == nullptr) return "–";
  std::string text = NumberText(cell->mean(), column);
  const bool partial = IsPartial(*cell, column);
  if (cell->has_std()) absl::StrAppend(&text, " ± ", NumberText(cell->std(), column));
  if (cell->has_std() || partial) absl::StrAppend(&text, " (", cell->n(), ")");
  if (partial) absl::StrAppend(&text, kPartial);
  return text;
}

std::string SimulatedNote(const MeasuredTable& table) {
  if (table.simulated.empty()) return "";
  return absl::StrCat(
      "On simulated scans, nothing was measured by a sensor: ", absl::StrJoin(table.simulated, ", "), ".");
}

std::vector<std::vector<std::string>> TableText(const MeasuredTable& table) {
  std::vector<std::vector<std::string>> lines(1, {"method"});
  for (const TableColumn& column : table.columns) lines[0].push_back(HeaderText(column));
  for (const TableRow& row : table.rows) {
    std::vector<std::string>& line =
        lines.emplace_back(1, absl::StrCat(row.label(), row.assumed().empty() ? "" : "*"));
    for (const TableColumn& column : table.columns) line.push_back(CellText(FindCell(row, column), column));
  }
  std::vector<std::string> chance(1, "chance");
  bool any = false;
  for (const TableColumn& column : table.columns) {
    const double level = ChanceLevel(table, column);
    any |= !std::isnan(level);
    chance.push_back(std::isnan(level) ? "–" : NumberText(level, column));
  }
  if (any) lines.push_back(std::move(chance));
  return lines;
}

std::string MarkdownTable(const MeasuredTable& table) {
  std::string text;
  const std::vector<std::vector<std::string>> lines = TableText(table);
  for (size_t i = 0; i < lines.size(); ++i) {
    for (const std::string& cell : lines[i])
      absl::StrAppend(&text, "| ",
                      absl::StrReplaceAll(cell, {{"|", "\\|"}, {"*", "\\*"}, {"\n", " "}, {"\r", " "}}), " ");
    text += "|\n";
    if (i > 0) continue;
    for (size_t c = 0; c < lines[i].size(); ++c) text += c == 0 ? "|---" : "|---:";
    text += "|\n";
  }
  const std::string notes = absl::StrReplaceAll(absl::StrJoin(Notes(table), "  \n"), {{"*", "\\*"}});
  return absl::StrCat(text, "\n", notes, "\n");
}

std::string CsvTable(const MeasuredTable& table) {
  std::string text = "label,column,mean,std,n,chance\n";
  for (const TableRow& row : table.rows) {
    for (const TableCell& cell : row.cells()) {
      const auto number = [](bool there, double value) {
        return there ? FormatNumber(value) : std::string();
      };
      absl::StrAppend(&text, CsvField(row.label()), ",", CsvField(cell.column()), ",",
                      number(true, cell.mean()), ",", number(cell.has_std(), cell.std()), ",", cell.n(), ",",
                      number(cell.has_chance(), cell.chance()), "\n");
    }
  }
  return text;
}

void FollowDeclaration(const Experiment& experiment, MeasuredTable* table) {
  const auto position = [&](const TableRow& row) {
    int index = 0;
    while (index < experiment.methods_size() && experiment.methods(index).name() != row.label()) ++index;
    return index;
  };
  std::stable_sort(table->rows.begin(), table->rows.end(),
                   [&](const TableRow& a, const TableRow& b) { return position(a) < position(b); });
  for (TableRow& row : table->rows)
    for (const std::string& what : AssumptionsOf(experiment, row.label())) row.add_assumed(what);
  table->assumed = AssumptionNotes(experiment);
  for (const Measurement& measurement : experiment.measurements())
    for (TableColumn& column : table->columns)
      if (column.stage == "finetune")
        column.most_seeds = std::max(column.most_seeds, measurement.seeds_size());
}

absl::StatusOr<TableResult> MakeTable(const TableConfig& config) {
  std::vector<MeasuredFile> files;
  for (const std::string& path : config.inputs()) {
    MF_ASSIGN_OR_RETURN(MeasuredFile file, ReadMeasuredFile(path));
    files.push_back(std::move(file));
    MF_ASSIGN_OR_RETURN(const std::string hash, Sha256HexOfFile(path));
    NoteInput(path, hash);
  }
  MeasuredTable table = Aggregate(files);
  if (config.experiment_size() > 0) {
    const std::vector<std::string> paths(config.experiment().begin(), config.experiment().end());
    MF_ASSIGN_OR_RETURN(const Experiment experiment, ReadExperiment(paths));
    FollowDeclaration(experiment, &table);
  }
  for (const std::string& repeated : table.repeated) LogLine(repeated);
  fputs(AlignedTable(TableText(table)).c_str(), stdout);
  for (const std::string& note : Notes(table)) printf("%s\n", note.c_str());
  fflush(stdout);
  if (!config.markdown().empty())
    MF_RETURN_IF_ERROR(WriteFileAtomically(config.markdown(), MarkdownTable(table)));
  if (!config.csv().empty()) MF_RETURN_IF_ERROR(WriteFileAtomically(config.csv(), CsvTable(table)));

  TableResult result;
  for (const TableColumn& column : table.columns) result.add_columns(column.name);
  for (const TableRow& row : table.rows) *result.add_rows() = row;
  if (!config.allow_mixed_protocols())
    for (const std::string& mixed : table.mixed) result.add_findings(mixed);
  return result;
}

}  // namespace manyform

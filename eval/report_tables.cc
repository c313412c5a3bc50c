// Sections made of text: pipeline, results, credits, footer.
#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/html.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/string_views.h"
#include "eval/report_sections.h"
#include "eval/table.h"

namespace manyform {
namespace {

struct Step {
  std::string name, what;
  const Provenance* provenance;
};

std::string MetricsInWords(const MeasuredFile& file) {
  const MeasuredTable table = Aggregate({&file, 1});
  std::vector<std::string> parts;
  for (const TableRow& row : table.rows) {
    for (const TableColumn& column : table.columns) {
      const TableCell* cell = FindCell(row, column);
      if (cell == nullptr || parts.size() >= 2) continue;
      parts.push_back(absl::StrCat(column.name, " ", CellText(cell, column), column.percent ? " %" : ""));
    }
  }
  return absl::StrCat(file.record().label(), ": ", absl::StrJoin(parts, ", "));
}

std::vector<Step> StepsOf(std::span<const StageSummary> stages, std::span<const MeasuredFile> files) {
  std::vector<Step> steps;
  for (const StageSummary& stage : stages) steps.push_back({stage.stage, stage.what, &stage.provenance});
  for (const MeasuredFile& file : files)
    steps.push_back({file.record().stage(), MetricsInWords(file), &file.provenance()});
  return steps;
}

std::string Cell(const char* tag, const char* css_class, const std::string& html) {
  const std::string attribute =
      *css_class == '\0' ? std::string() : absl::StrCat(" class=\"", css_class, "\"");
  return absl::StrCat("<", tag, attribute, ">", html, "</", tag, ">");
}

/// "42.5" with its deviation and seeds set back.
std::string ValueHtml(const TableCell& cell, const TableColumn& column) {
  const std::string text = CellText(&cell, column);
  const size_t cut = text.find(" ±");
  if (cut == std::string::npos) return EscapeHtml(text);
  return absl::StrCat(EscapeHtml(text.substr(0, cut)), "<span class=\"spread\">",
                      EscapeHtml(text.substr(cut)), "</span>");
}

/// The column's best mean; NaN where fewer than two rows have one.
double BestOf(const MeasuredTable& table, const TableColumn& column) {
  double best = NAN;
  int rows = 0;
  for (const TableRow& row : table.rows) {
    const TableCell* cell = FindCell(row, column);
    if (cell == nullptr || std::isnan(cell->mean())) continue;
    ++rows;
    const bool better = column.lower_is_better ? cell->mean() < best : cell->mean() > best;
    if (std::isnan(best) || better) best = cell->mean();
  }
  return rows > 1 ? best : NAN;
}

std::string StageTable(const MeasuredTable& table, const std::string& stage, const std::string& caption) {
  std::vector<TableColumn> columns;
  for (const TableColumn& column : table.columns)
    if (column.stage == stage) columns.push_back(column);
  std::string html = absl::StrCat("<div class=\"wide\"><table>\n<caption>", caption,
                                  "</caption>\n<thead><tr><th scope=\"col\">method</th>");
  bool any_chance = false;
  for (const TableColumn& column : columns) {
    absl::StrAppend(&html, "<th scope=\"col\" class=\"number\">", EscapeHtml(column.name),
                    column.percent ? " %" : "", column.lower_is_better ? " ↓" : " ↑", "</th>");
    any_chance |= !std::isnan(ChanceLevel(table, column));
  }
  html += "</tr></thead>\n<tbody>\n";
  for (const TableRow& row : table.rows) {
    std::string line;
    bool any = false;
    for (const TableColumn& column : columns) {
      const TableCell* cell = FindCell(row, column);
      any |= cell != nullptr;
      const bool best = cell != nullptr && cell->mean() == BestOf(table, column);
      line += Cell("td", best ? "number best" : "number", cell == nullptr ? "–" : ValueHtml(*cell, column));
    }
    if (!any) continue;
    const bool baseline = row.label() == "nn_copy";
    absl::StrAppend(&html, baseline ? "<tr class=\"baseline\">" : "<tr>", "<th scope=\"row\">",
                    EscapeHtml(row.label()), "</th>", line, "</tr>\n");
  }
  if (any_chance) {
    html += "<tr class=\"chance\"><th scope=\"row\">chance</th>";
    for (const TableColumn& column : columns) {
      TableCell chance;
      chance.set_mean(ChanceLevel(table, column));
      chance.set_n(column.most_seeds);
      html += Cell("td", "number", std::isnan(chance.mean()) ? "–" : CellText(&chance, column));
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

bool HasStage(const MeasuredTable& table, const std::string& stage) {
  return std::any_of(table.columns.begin(), table.columns.end(),
                     [&](const TableColumn& column) { return column.stage == stage; });
}

}  // namespace

std::string PipelineSection(std::span<const StageSummary> stages, std::span<const MeasuredFile> files) {
  const std::vector<Step> steps = StepsOf(stages, files);
  if (steps.empty()) return "";
  std::string html =
      "<section id=\"pipeline\">\n<h2>Pipeline</h2>\n<div class=\"wide\"><table>\n<thead><tr><th "
      "scope=\"col\">step</th><th scope=\"col\">what it made</th><th scope=\"col\" class=\"number\">time</th>"
      "<th scope=\"col\" class=\"number\">memory</th></tr></thead>\n<tbody>\n";
  double seconds = 0;
  for (const Step& step : steps) {
    seconds += step.provenance->wall_seconds();
    const bool has_memory = step.provenance->peak_memory_bytes() > 0;
    absl::StrAppend(
        &html, "<tr><th scope=\"row\">", EscapeHtml(step.name), "</th>",
        Cell("td", "", EscapeHtml(step.what)),
        Cell("td", "number",
             step.provenance->has_wall_seconds() ? HumanDuration(step.provenance->wall_seconds()) : "–"),
        Cell("td", "number", has_memory ? HumanBytes(step.provenance->peak_memory_bytes()) : "–"), "</tr>\n");
  }
  return absl::StrCat(html, "</tbody></table></div>\n<p class=\"note\">", HumanDuration(seconds),
                      " in all; memory is each program’s peak.</p>\n</section>\n");
}

std::string ResultSection(const MeasuredTable& table) {
  if (table.columns.empty()) return "";
  const char* stages[][3] = {
      {"finetune", "Classification", "Share of test shapes whose class is named right."},
      {"classify", "Classifiers tested again", "The same share, for saved classifiers on other shapes."},
      {"probe", "Probes",
       "The same share, for a linear machine or a vote of k neighbours on the vectors of a frozen model."},
      {"ucpr", "Retrieval across forms",
       "Every shape, asked through one form, is looked for among all shapes in another. R@k: the shape "
       "itself "
       "is among the k nearest; MRR: mean reciprocal rank."},
      {"cpac", "Completion of distance fields",
       "Distances at points never told, read off the frozen model by a linear head. IoU of the sets within "
       "τ of the surface; “near” counts only points near it."}};
  std::string html = "<section id=\"results\">\n<h2>Results</h2>\n";
  for (const auto& [stage, title, explanation] : stages) {
    if (!HasStage(table, stage)) continue;
    absl::StrAppend(&html, "<h3>", title, "</h3>\n", StageTable(table, stage, explanation));
  }
  html +=
      "<p class=\"note\">↑ higher is better, ↓ lower; the best of each column is bold. Means over seeds ± "
      "population standard deviation (number of seeds); † fewer seeds than others in the column.</p>\n";
  if (const std::string note = SimulatedNote(table); !note.empty())
    absl::StrAppend(&html, "<p class=\"note warning\">", EscapeHtml(note), "</p>\n");
  for (const std::string& mixed : table.mixed)
    absl::StrAppend(&html, "<p class=\"note warning\">Mixed protocols: ", EscapeHtml(mixed), "</p>\n");
  return html + "</section>\n";
}

std::string CreditSection(const Catalogue& catalogue, const Pictured& pictured) {
  const std::set<std::string> keys(pictured.keys.begin(), pictured.keys.end());
  std::string items;
  for (const CatalogueModel& model : catalogue.models()) {
    if (keys.count(absl::StrCat(model.class_name(), "/", model.id())) == 0) continue;
    const auto part = [](const char* between, const std::string& text) {
      return text.empty() ? std::string() : absl::StrCat(between, EscapeHtml(text));
    };
    const std::string& name = model.name().empty() ? model.id() : model.name();
    absl::StrAppend(&items, "<li>", EscapeHtml(name), part(", by ", model.author()),
                    part(" — ", model.licence()), "</li>\n");
  }
  if (items.empty()) return "";
  return absl::StrCat("<section id=\"credits\">\n<h2>Pictured models</h2>\n<ul class=\"credits\">\n", items,
                      "</ul>\n</section>\n");
}

std::string FooterSection(std::span<const StageSummary> stages, std::span<const MeasuredFile> files) {
  std::set<std::string> commits;
  std::string configs;
  for (const Step& step : StepsOf(stages, files)) {
    if (!step.provenance->git_commit().empty()) commits.insert(step.provenance->git_commit());
    if (step.provenance->config().empty()) continue;
    absl::StrAppend(&configs, "<details><summary>", EscapeHtml(step.name), " · ", EscapeHtml(step.what),
                    "</summary><pre>", EscapeHtml(step.provenance->config()), "</pre></details>\n");
  }
  std::string html = absl::StrCat("<footer>\n<p>Made by Manyform, commit ", EscapeHtml(BuildCommit()));
  if (!commits.empty()) absl::StrAppend(&html, "; measured at ", EscapeHtml(absl::StrJoin(commits, ", ")));
  absl::StrAppend(&html, ".</p>\n");
  if (!configs.empty()) absl::StrAppend(&html, "<h3>Configurations</h3>\n", configs);
  return html + "</footer>\n";
}

}  // namespace manyform

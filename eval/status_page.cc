// The board as a page: the report's look, a colour per state.
#include "absl/strings/str_cat.h"
#include "base/html.h"
#include "base/string_views.h"
#include "eval/report_style.h"
#include "eval/status_board.h"

namespace manyform {
namespace {

constexpr std::string_view kStateStyle = R"css(
td { font-size: 0.9rem; }
td.running { background: #eaf2fb; color: var(--accent); }
td.failed, td.unreadable { background: #fbeaea; color: #a3261d; }
td.died { background: #fdf5ee; color: #b4540a; }
td.waiting { color: var(--faint); }
td + td { padding-left: 1.1rem; }
tbody tr.first > * { border-top: 1.5px solid var(--rule); }
)css";

std::string CellHtml(const BoardCell& cell) {
  return absl::StrCat("<td class=\"", StateName(cell.state), "\">", EscapeHtml(cell.text), "</td>");
}

std::string PretrainingTable(const Board& board) {
  if (board.pretrainings.empty()) return "";
  std::string html = "<h2>Pretrainings</h2>\n<div class=\"wide\"><table>\n<tbody>\n";
  for (const auto& [run, cell] : board.pretrainings)
    absl::StrAppend(&html, "<tr><th scope=\"row\">", EscapeHtml(run), "</th>", CellHtml(cell), "</tr>\n");
  return html + "</tbody></table></div>\n";
}

std::string PartTable(const BoardPart& part) {
  std::string html =
      absl::StrCat("<h2>", EscapeHtml(part.name),
                   "</h2>\n<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">method</th>"
                   "<th scope=\"col\">K</th>");
  for (const int64_t seed : part.seeds) absl::StrAppend(&html, "<th scope=\"col\">seed ", seed, "</th>");
  html += "<th scope=\"col\" class=\"number\">mean ± std (n)</th></tr></thead>\n<tbody>\n";
  std::string above;
  for (const BoardRow& row : part.rows) {
    const bool first = row.method != above;
    above = row.method;
    absl::StrAppend(&html, first ? "<tr class=\"first\">" : "<tr>", "<th scope=\"row\">",
                    first ? EscapeHtml(row.method) : "", "</th><td>", row.shots, "</td>");
    for (const BoardCell& cell : row.cells) html += CellHtml(cell);
    absl::StrAppend(&html, "<td class=\"number\">", EscapeHtml(row.mean), "</td></tr>\n");
  }
  return html +
         "</tbody></table></div>\n<p class=\"note\">Accuracy in test, percent; population standard "
         "deviation over the seeds that are done.</p>\n";
}

std::string Notes(const char* css_class, const std::vector<std::string>& notes) {
  std::string html;
  for (const std::string& note : notes)
    absl::StrAppend(&html, "<p class=\"", css_class, "\">", EscapeHtml(note), "</p>\n");
  return html;
}

}  // namespace

std::string BoardPage(const Board& board, int refresh) {
  const std::string title = EscapeHtml(board.name);
  std::string html = absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n",
      refresh > 0 ? absl::StrCat("<meta http-equiv=\"refresh\" content=\"", refresh, "\">\n") : "", "<title>",
      title, "</title>\n<style>", ToAbsl(kReportStyle), ToAbsl(kStateStyle),
      "</style>\n</head>\n<body>\n<h1>", title, "</h1>\n<p class=\"lede\">", EscapeHtml(board.headline),
      ".</p>\n");
  for (const BoardPart& part : board.parts) html += PartTable(part);
  return absl::StrCat(html, PretrainingTable(board), Notes("note", board.running),
                      Notes("note warning", board.problems), Notes("note", board.assumed),
                      "</body>\n</html>\n");
}

}  // namespace manyform

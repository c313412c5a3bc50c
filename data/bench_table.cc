#include "data/bench_table.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace manyform {
namespace {

std::string Milliseconds(double ms) { return absl::StrFormat("%.*f", ms < 1 ? 3 : ms < 100 ? 2 : 0, ms); }

// 1234567 as "1.23 M".
std::string Counted(double count) {
  if (count <= 0) return "-";
  const char* units[] = {"", " k", " M", " G"};
  size_t unit = 0;
  for (; count >= 1000 && unit + 1 < std::size(units); ++unit) count /= 1000;
  return absl::StrFormat("%.3g%s", count, units[unit]);
}

std::string Times(double a, double b) { return b > 0 ? absl::StrFormat("%.1fx", a / b) : "-"; }

std::vector<std::string> Cells(const BenchRow& row) {
  const double ms = row.milliseconds();
  std::string target = "-";
  if (row.has_target_milliseconds()) {
    const char* miss = ms > row.target_milliseconds() ? " !" : "  ";
    target = absl::StrCat("<= ", Milliseconds(row.target_milliseconds()), miss);
  }
  const bool published = row.has_published_milliseconds();
  return {row.stage(),
          Milliseconds(ms),
          row.has_wall_milliseconds() ? Milliseconds(row.wall_milliseconds()) : "-",
          target,
          Counted(row.bytes()),
          Counted(row.operations()),
          row.limit_milliseconds() > 0 ? Milliseconds(row.limit_milliseconds()) : "-",
          Times(ms, row.limit_milliseconds()),
          published ? Milliseconds(row.published_milliseconds()) : "-",
          published ? Times(row.published_milliseconds(), ms) : "-"};
}

}  // namespace

void SetLimits(BenchResult* result) {
  for (BenchRow& row : *result->mutable_rows()) {
    const double seconds = std::max(row.bytes() / result->bytes_per_second(),
                                    row.operations() / result->operations_per_second());
    if (seconds > 0) row.set_limit_milliseconds(seconds * 1e3);
  }
}

std::string BenchTable(const BenchResult& result) {
  std::vector<std::vector<std::string>> lines = {{"stage", "CPU ms", "wall ms", "target", "bytes", "ops",
                                                  "limit ms", "from limit", "published", "faster"}};
  for (const BenchRow& row : result.rows()) lines.push_back(Cells(row));
  std::vector<size_t> width(lines[0].size());
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) width[i] = std::max(width[i], line[i].size());
  }
  std::string table;
  for (const auto& line : lines) {
    absl::StrAppendFormat(&table, "%-*s", static_cast<int>(width[0]), line[0]);
    for (size_t i = 1; i < line.size(); ++i) {
      absl::StrAppendFormat(&table, "  %*s", static_cast<int>(width[i]), line[i]);
    }
    table += '\n';
  }
  return table;
}

}  // namespace manyform

/// \file
/// //eval:table: measurements gathered into one table, for people (aligned, Markdown) and for programs (CSV).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "eval/aggregate.h"
#include "proto/eval.pb.h"

namespace manyform {

/// "42.5 ± 1.2 (3)": percent or four decimals, deviation and number of seeds if there are several, a dagger
/// if other cells of the column have more; "–" for no cell, "n/a" for a mean that is not a number.
std::string CellText(const TableCell* cell, const TableColumn& column);

/// Header, one line a row, and the line of chance levels where any is known.
std::vector<std::vector<std::string>> TableText(const MeasuredTable& table);
std::string MarkdownTable(const MeasuredTable& table);
/// One line a cell: label, column, mean, std, n, chance; RFC 4180.
std::string CsvTable(const MeasuredTable& table);

/// Reads the inputs, prints the table on stdout, writes the files asked for. Mixed protocols become findings
/// unless they are allowed. \error as ReadMeasuredFile and files.h.
absl::StatusOr<TableResult> MakeTable(const TableConfig& config);

}  // namespace manyform

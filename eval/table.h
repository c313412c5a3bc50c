/// \file
/// //eval:table: measurements gathered into one table, for people (aligned, Markdown) and for programs (CSV).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "eval/aggregate.h"
#include "eval/experiment.h"
#include "proto/eval.pb.h"

namespace manyform {

/// "42.5 ± 1.2 (3)": percent or four decimals, deviation and number of seeds if there are several; with a
/// dagger, "42.5 (1)†", if there should be more; "–" for no cell, "n/a" for a mean that is not a number.
std::string CellText(const TableCell* cell, const TableColumn& column);

/// Which rows are of simulated scans; empty if none is.
std::string SimulatedNote(const MeasuredTable& table);

/// Rows in the order of the experiment's methods, others after them; what had to be assumed for each; as many
/// seeds in the columns of fine-tuning as are declared.
void FollowDeclaration(const Experiment& experiment, MeasuredTable* table);

/// Header, one line a row (marked by an asterisk if something had to be assumed), and the line of chance
/// levels where any is known.
std::vector<std::vector<std::string>> TableText(const MeasuredTable& table);
std::string MarkdownTable(const MeasuredTable& table);
/// One line a cell: label, column, mean, std, n, chance; RFC 4180.
std::string CsvTable(const MeasuredTable& table);

/// Reads the inputs, prints the table on stdout, writes the files asked for. Mixed protocols become findings
/// unless they are allowed. \error as ReadMeasuredFile, ReadExperiment and files.h.
absl::StatusOr<TableResult> MakeTable(const TableConfig& config);

}  // namespace manyform

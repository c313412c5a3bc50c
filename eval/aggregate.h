/// \file
/// Many measurements, one table: a row per method, a column per stage, protocol and metric, seeds averaged.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "eval/result_files.h"
#include "proto/eval.pb.h"

namespace manyform {

struct TableColumn {
  std::string name;   ///< "R@1 mesh→udfgrid", "acc K=5", "MAE"
  std::string stage;  ///< "finetune", "classify", "probe", "ucpr", "cpac"
  bool lower_is_better = false;
  bool percent = false;  ///< a share of one, which people read in percent
  int most_seeds = 0;    ///< the largest n of its cells: cells with fewer are partial
};

struct MeasuredTable {
  std::vector<TableColumn> columns;  ///< by stage, in that order
  std::vector<TableRow> rows;        ///< labels as they first appear, the nn_copy baseline last
  /// Columns whose rows were measured under different protocols, and in what these differ.
  std::vector<std::string> mixed;
  /// "* nepa: ...": what had to be assumed for rows that are marked so.
  std::vector<std::string> assumed;
  /// Rows of which results were measured on simulated scans.
  std::vector<std::string> simulated;
  /// Files that repeat a measurement which another file already gave; counted once.
  std::vector<std::string> repeated;
};

/// Results of one label, column and protocol but different seeds, checkpoints or episodes become mean and
/// population standard deviation. A completion result with a baseline adds the row "nn_copy".
MeasuredTable Aggregate(std::span<const MeasuredFile> files);

/// Null if the row has no such column.
const TableCell* FindCell(const TableRow& row, const TableColumn& column);
/// What a column's metric is expected to be for a guesser; NaN if nobody knows.
double ChanceLevel(const MeasuredTable& table, const TableColumn& column);

}  // namespace manyform

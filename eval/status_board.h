/// \file
/// The board of //eval:status: what stands where, and how a terminal and a page show it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "proto/experiment.pb.h"

namespace manyform {

/// "waiting", "running", "done", "failed", "died" or "unreadable".
const char* StateName(RunState::State state);

struct BoardCell {
  RunState::State state;
  std::string text;  ///< "81.2", "running 3/10", "failed"
};

struct BoardRow {
  std::string method;  ///< with an asterisk where a setting had to be assumed
  std::string shots;   ///< "full", "5"
  std::vector<BoardCell> cells;
  std::string mean;  ///< "81.2 ± 0.4 (2)": percent, population deviation, how many seeds are done
};

/// A measurement: a row per method and K, a column per seed.
struct BoardPart {
  std::string name;
  std::vector<int64_t> seeds;
  std::vector<BoardRow> rows;
};

struct Board {
  std::string name, headline;  ///< "42 of 75 done, 2 running, 1 failed, 30 waiting; about 6 min 10 s left"
  std::vector<std::pair<std::string, BoardCell>> pretrainings;
  std::vector<BoardPart> parts;
  std::vector<std::string> running;   ///< "<run>: 3/10 epochs, 310 samples/s, 25.0 s left", one line each
  std::vector<std::string> problems;  ///< "<run> failed: <error>"
  std::vector<std::string> assumed;   ///< "* <method>: <what>"
};

/// `status` has the cells in the order of the experiment's plan.
Board MakeBoard(const Experiment& experiment, const StatusResult& status);

std::string BoardText(const Board& board);
/// Self-contained; loads itself again every `refresh` seconds unless that is 0.
std::string BoardPage(const Board& board, int refresh);

/// Until all is done, if cells go on as those that are done did (of the same K where there are any), as many
/// at a time as run now; negative if nobody can tell.
double SecondsLeft(const StatusResult& status);

}  // namespace manyform

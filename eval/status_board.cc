#include "eval/status_board.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/log.h"
#include "eval/experiment.h"

namespace manyform {

const char* StateName(RunState::State state) {
  switch (state) {
    case RunState::WAITING:
      return "waiting";
    case RunState::RUNNING:
      return "running";
    case RunState::DONE:
      return "done";
    case RunState::FAILED:
      return "failed";
    case RunState::DIED:
      return "died";
    case RunState::UNREADABLE:
      return "unreadable";
  }
  return "";
}

namespace {

/// One line that a terminal can show, whatever a file said.
std::string OneLine(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return text;
}

BoardCell CellOf(const RunState& state) {
  switch (state.state()) {
    case RunState::DONE:
      return {state.state(), absl::StrFormat("%.1f", 100 * state.value())};
    case RunState::RUNNING:
      if (state.has_epochs())
        return {state.state(), absl::StrCat("running ", state.epoch(), "/", state.epochs())};
      [[fallthrough]];
    default:
      return {state.state(), StateName(state.state())};
  }
}

BoardCell PretrainingCell(const RunState& state) {
  if (state.state() != RunState::DONE) return CellOf(state);
  return {state.state(),
          absl::StrFormat("done, loss %.4f, %s", state.value(), HumanDuration(state.seconds()))};
}

std::string MeanOf(const std::vector<double>& values) {
  if (values.empty()) return "–";
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const auto n = static_cast<double>(values.size());
  for (const double value : values) squares += (value - sum / n) * (value - sum / n);
  return absl::StrFormat("%.1f ± %.1f (%d)", 100 * sum / n, 100 * std::sqrt(squares / n), values.size());
}

std::string Headline(const StatusResult& status) {
  std::vector<std::string> counts;
  for (const RunState::State state :
       {RunState::RUNNING, RunState::FAILED, RunState::DIED, RunState::UNREADABLE, RunState::WAITING}) {
    const auto n = std::count_if(status.cells().begin(), status.cells().end(),
                                 [&](const StatusCell& cell) { return cell.state().state() == state; });
    if (n > 0) counts.push_back(absl::StrCat(n, " ", StateName(state)));
  }
  const double left = SecondsLeft(status);
  return absl::StrCat(status.done(), " of ", status.cells_size(), " done", counts.empty() ? "" : ", ",
                      absl::StrJoin(counts, ", "),
                      left > 0 ? absl::StrCat("; about ", HumanDuration(left), " left") : "");
}

void AddNote(const StatusCell& cell, Board* board) {
  const RunState& state = cell.state();
  // Done ones have nothing to add, and of the waiting ones few.
  if (state.text().empty()) return;
  if (state.state() == RunState::RUNNING) {
    board->running.push_back(absl::StrCat(cell.run(), ": ", OneLine(state.text())));
  } else {
    board->problems.push_back(
        absl::StrCat(cell.run(), " ", StateName(state.state()), ": ", OneLine(state.text())));
  }
}

}  // namespace

double SecondsLeft(const StatusResult& status) {
  double all = 0, running_left = 0, work = 0;
  int done = 0, running = 0;
  for (const StatusCell& cell : status.cells()) {
    if (cell.state().state() == RunState::DONE) all += cell.state().seconds(), ++done;
  }
  if (done == 0) return -1;
  for (const StatusCell& cell : status.cells()) {
    if (cell.state().state() == RunState::DONE) continue;
    if (cell.state().state() == RunState::RUNNING) ++running;
    if (cell.state().has_seconds_left()) {
      running_left += cell.state().seconds_left();
      continue;
    }
    double same = 0;
    int alike = 0;
    for (const StatusCell& other : status.cells()) {
      if (other.state().state() == RunState::DONE && other.measurement() == cell.measurement() &&
          other.fewshot_k() == cell.fewshot_k())
        same += other.state().seconds(), ++alike;
    }
    work += alike > 0 ? same / alike : all / done;
  }
  return running == 0 ? -1 : (work + running_left) / running;
}

Board MakeBoard(const Experiment& experiment, const StatusResult& status) {
  Board board{.name = experiment.name(), .headline = Headline(status)};
  for (const StatusCell& cell : status.pretrainings()) {
    board.pretrainings.emplace_back(cell.run(), PretrainingCell(cell.state()));
    AddNote(cell, &board);
  }
  int next = 0;
  for (const Measurement& measurement : experiment.measurements()) {
    BoardPart& part = board.parts.emplace_back();
    part.name = measurement.name();
    part.seeds.assign(measurement.seeds().begin(), measurement.seeds().end());
    for (const Method& method : experiment.methods()) {
      const bool assumed = !AssumptionsOf(experiment, method.name()).empty();
      for (const int32_t k : measurement.fewshot_k()) {
        BoardRow& row = part.rows.emplace_back();
        row.method = absl::StrCat(method.name(), assumed ? "*" : "");
        row.shots = k == 0 ? "full" : absl::StrCat(k);
        std::vector<double> values;
        for (size_t seed = 0; seed < part.seeds.size(); ++seed) {
          const StatusCell& cell = status.cells(next++);
          row.cells.push_back(CellOf(cell.state()));
          if (cell.state().state() == RunState::DONE) values.push_back(cell.state().value());
          AddNote(cell, &board);
        }
        row.mean = MeanOf(values);
      }
    }
  }
  board.assumed = AssumptionNotes(experiment);
  return board;
}

std::string BoardText(const Board& board) {
  std::string text = absl::StrCat(board.name, ": ", board.headline, "\n");
  std::vector<std::vector<std::string>> lines = {{"pretraining", "state"}};
  for (const auto& [run, cell] : board.pretrainings) lines.push_back({run, cell.text});
  if (lines.size() > 1) absl::StrAppend(&text, "\n", AlignedTable(lines));
  for (const BoardPart& part : board.parts) {
    lines.assign(1, {part.name, "K"});
    for (const int64_t seed : part.seeds) lines[0].push_back(absl::StrCat("seed ", seed));
    lines[0].push_back("mean ± std (n)");
    std::string above;
    for (const BoardRow& row : part.rows) {
      std::vector<std::string>& line = lines.emplace_back();
      line = {row.method == above ? "" : row.method, row.shots};
      above = row.method;
      for (const BoardCell& cell : row.cells) line.push_back(cell.text);
      line.push_back(row.mean);
    }
    absl::StrAppend(&text, "\n", AlignedTable(lines));
  }
  for (const auto* notes : {&board.running, &board.problems, &board.assumed})
    if (!notes->empty()) absl::StrAppend(&text, "\n", absl::StrJoin(*notes, "\n"), "\n");
  return text;
}

}  // namespace manyform

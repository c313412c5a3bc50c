#include "eval/status.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/status_macros.h"
#include "eval/run_state.h"
#include "eval/status_board.h"

namespace manyform {
namespace {

constexpr char kClearScreen[] = "\x1b[H\x1b[2J\x1b[3J";

RunFiles FilesOf(const std::string& out_root, const std::string& run) {
  return ReadRunFiles(RunPath(out_root, run), JoinPath(out_root, absl::StrCat("logs/", run, ".log")));
}

void Sleep(int seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!Interrupted() && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

}  // namespace

StatusResult ReadStatus(const ExperimentPlan& plan, const std::string& out_root) {
  StatusResult status;
  for (const PlannedPretraining& pretraining : plan.pretrainings) {
    StatusCell& cell = *status.add_pretrainings();
    cell.set_run(pretraining.run);
    *cell.mutable_state() = StateOf(FilesOf(out_root, pretraining.run), nullptr);
  }
  for (const PlannedCell& planned : plan.cells) {
    StatusCell& cell = *status.add_cells();
    cell.set_run(planned.run);
    cell.set_measurement(planned.measurement);
    cell.set_method(planned.method);
    cell.set_fewshot_k(planned.fewshot_k);
    cell.set_seed(planned.seed);
    *cell.mutable_state() = StateOf(FilesOf(out_root, planned.run), &planned);
    if (cell.state().state() == RunState::DONE) status.set_done(status.done() + 1);
  }
  return status;
}

absl::StatusOr<StatusResult> ShowStatus(const StatusConfig& config) {
  const std::vector<std::string> paths(config.experiment().begin(), config.experiment().end());
  MF_ASSIGN_OR_RETURN(const Experiment experiment, ReadExperiment(paths));
  MF_ASSIGN_OR_RETURN(const ExperimentPlan plan, PlanExperiment(experiment, config.out_root()));
  for (;;) {
    StatusResult status = ReadStatus(plan, config.out_root());
    const bool last = config.watch() == 0 || status.done() == status.cells_size() || Interrupted();
    const Board board = MakeBoard(experiment, status);
    const std::string text = BoardText(board);
    printf("%s%s", config.watch() > 0 && isatty(STDOUT_FILENO) != 0 ? kClearScreen : "", text.c_str());
    fflush(stdout);
    if (!config.output().empty())
      MF_RETURN_IF_ERROR(WriteFileAtomically(config.output(), BoardPage(board, last ? 0 : config.watch())));
    if (last) return status;
    Sleep(config.watch());
  }
}

}  // namespace manyform

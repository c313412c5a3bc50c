#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/log.h"
#include "train/bench.h"

namespace manyform {
namespace {

const TrainBenchRow* BaselineOf(const TrainBenchResult& result, const TrainBenchRow& row) {
  for (const TrainBenchRow& other : result.rows())
    if (other.mode() == "baseline" && other.size() == row.size() && other.threads() == row.threads())
      return &other;
  return nullptr;
}

std::vector<std::string> Cells(const TrainBenchResult& result, const TrainBenchRow& row) {
  const double step = row.step_seconds(), batch = static_cast<double>(row.batch());
  const auto percent = [](double part, double whole) { return absl::StrFormat("%.1f", 100 * part / whole); };
  const auto three = [](double value) { return absl::StrFormat("%.3g", value); };
  const double flops = row.step_flop() / step, peak = static_cast<double>(row.peak_bytes());
  std::vector<std::string> cells = {row.size(),
                                    row.mode(),
                                    absl::StrCat(row.threads()),
                                    three(step),
                                    absl::StrFormat("%.2f", 100 * row.data_seconds() / step),
                                    percent(row.forward_seconds(), step),
                                    percent(row.backward_seconds(), step),
                                    percent(row.optimizer_seconds(), step),
                                    three(1 / step),
                                    three(batch / step),
                                    absl::StrFormat("%.0f", batch * static_cast<double>(row.length()) / step),
                                    absl::StrFormat("%.0f", flops * 1e-9),
                                    percent(flops, row.gemm_flop_per_second()),
                                    absl::StrFormat("%.2f", peak / (1 << 30))};
  const TrainBenchRow* baseline = BaselineOf(result, row);
  if (baseline == nullptr) {
    cells.insert(cells.end(), {"-", "-"});
  } else {
    cells.push_back(absl::StrFormat("%.2f", baseline->step_seconds() / step));
    cells.push_back(absl::StrFormat("%.2f", peak / static_cast<double>(baseline->peak_bytes())));
  }
  return cells;
}

}  // namespace

std::string TrainBenchTable(const TrainBenchResult& result) {
  std::vector<std::vector<std::string>> rows = {
      {"size", "mode", "threads", "s/step", "data %", "forward %", "backward %", "optimizer %", "steps/s",
       "samples/s", "tokens/s", "GFLOP/s", "% of GEMM", "GiB", "x as fast", "x the memory"}};
  for (const TrainBenchRow& row : result.rows()) rows.push_back(Cells(result, row));
  return AlignedTable(rows);
}

}  // namespace manyform

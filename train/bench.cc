#include "train/bench.h"

#include <cstdio>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "data/isolated.h"
#include "model/precision.h"
#include "train/bench_step.h"
#include "train/tensor_errors.h"

namespace manyform {
namespace {

struct Cell {
  BenchSize size;
  BenchWay way;
  int threads;
};

absl::StatusOr<std::vector<BenchWay>> Ways(const TrainBenchConfig& config) {
  std::vector<BenchWay> ways;
  for (const std::string& name : config.modes()) {
    MF_ASSIGN_OR_RETURN(ways.emplace_back(), FindBenchWay(name));
  }
  if (!ways.empty()) return ways;
  const bool bf16 = config.device() != "cpu" || HasBf16Arithmetic(c10::kCPU);
  if (!bf16) LogLine("no modes in bf16: this processor has no arithmetic for it");
  for (const char* name : {"f32", "bf16", "f32_dual", "bf16_dual", "baseline"}) {
    MF_ASSIGN_OR_RETURN(const BenchWay way, FindBenchWay(name));
    if (bf16 || !way.bf16) ways.push_back(way);
  }
  return ways;
}

absl::StatusOr<std::vector<Cell>> Cells(const TrainBenchConfig& config) {
  MF_ASSIGN_OR_RETURN(const std::vector<BenchWay> ways, Ways(config));
  std::vector<std::string> sizes(config.sizes().begin(), config.sizes().end());
  if (sizes.empty()) sizes = {"published", "small"};
  std::vector<int> threads(config.threads().begin(), config.threads().end());
  if (threads.empty()) threads = {ResolveThreads(0)};
  std::vector<Cell> cells;
  for (const std::string& name : sizes) {
    MF_ASSIGN_OR_RETURN(const BenchSize size, FindBenchSize(name));
    for (const int count : threads) {
      if (count < 1) return absl::InvalidArgumentError(absl::StrCat("threads: ", count, ", expected >= 1"));
      for (const BenchWay& way : ways) cells.push_back({size, way, count});
    }
  }
  return cells;
}

// In a child, whose peak of memory is its own. This process starts no threads of LibTorch's before.
absl::StatusOr<TrainBenchRow> TimeCell(const TrainBenchConfig& config, const Cell& cell,
                                       const std::string& cache) {
  constexpr IsolationLimits kNone = {.seconds = 1e6, .bytes = uint64_t{1} << 46};
  const auto work = [&]() -> absl::StatusOr<std::string> {
    return CatchTensorErrors([&]() -> absl::StatusOr<std::string> {
      MF_ASSIGN_OR_RETURN(const TrainBenchRow row,
                          TimeSteps(cell.size, cell.way, cell.threads, config.batch(), config.micro_batch(),
                                    config.steps(), config.device(), cache));
      return row.SerializeAsString();
    });
  };
  MF_ASSIGN_OR_RETURN(const std::string bytes, RunIsolated(work, kNone));
  TrainBenchRow row;
  if (!row.ParseFromString(bytes)) return absl::InternalError("a timed process returned no row");
  return row;
}

}  // namespace

absl::StatusOr<TrainBenchResult> TrainBench(const TrainBenchConfig& config) {
  MF_ASSIGN_OR_RETURN(const std::vector<Cell> cells, Cells(config));
  const std::string cache = JoinPath(config.scratch(), "cache");
  const bool was_there = FileExists(config.scratch());
  const auto clean = absl::MakeCleanup([&] {
    std::error_code ignored;
    std::filesystem::remove_all(cache, ignored);
    if (!was_there) std::filesystem::remove(config.scratch(), ignored);
  });
  MF_RETURN_IF_ERROR(MakeBenchCache(cache));
  TrainBenchResult result;
  {
    Progress progress("bench", "rows", static_cast<int64_t>(cells.size()));
    for (const Cell& cell : cells) {
      progress.SetNote(absl::StrCat(cell.size.name, " ", cell.way.name, ", ", cell.threads, " threads"));
      MF_ASSIGN_OR_RETURN(*result.add_rows(), TimeCell(config, cell, cache));
      progress.Add();
    }
  }
  fputs(TrainBenchTable(result).c_str(), stdout);
  *result.mutable_provenance() = CollectProvenance("train_bench", config);
  return result;
}

}  // namespace manyform

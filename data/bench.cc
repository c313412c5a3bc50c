#include "data/bench.h"

#include <malloc.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "data/bench_machine.h"
#include "data/bench_stages.h"
#include "data/bench_table.h"
#include "data/loader.h"
#include "data/manifest.h"
#include "data/npz.h"

namespace manyform {
namespace {

// What this thread worked, kernel included: waiting for a core of a busy machine does not count.
double CpuMilliseconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
}

double WallMilliseconds() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Time {
  double cpu = std::numeric_limits<double>::infinity(), wall = cpu;  // ms
};

// The fastest of several runs: on a machine that does other things too, that is the nearest to the truth.
absl::StatusOr<Time> Fastest(int repeats, const std::function<absl::Status()>& run) {
  Time best;
  for (int i = 0; i < repeats; ++i) {
    const double cpu = CpuMilliseconds(), wall = WallMilliseconds();
    MF_RETURN_IF_ERROR(run());
    best.cpu = std::min(best.cpu, CpuMilliseconds() - cpu);
    best.wall = std::min(best.wall, WallMilliseconds() - wall);
  }
  return best;
}

absl::StatusOr<std::vector<std::string>> ModelPaths(const BenchConfig& config) {
  MF_ASSIGN_OR_RETURN(const std::string list, ReadFile(config.list()));
  std::vector<std::string> paths;
  for (const absl::string_view line : absl::StrSplit(list, '\n', absl::SkipWhitespace())) {
    if (line[0] == '#') continue;
    const std::string key(line.substr(0, line.find(' ')));
    paths.push_back(JoinPath(config.models(), absl::StrCat(key, "/models/model_normalized.obj")));
    if (FileExists(paths.back())) continue;
    return absl::NotFoundError(absl::StrCat(
        paths.back(), ": the furniture models are not there; make them from Debian's package ",
        "sweethome3d-furniture: bazel run //tools/demo:import_furniture -- out_root=", config.models()));
  }
  if (paths.empty()) return absl::InvalidArgumentError(absl::StrCat(config.list(), ": no models"));
  return paths;
}

// Sums the stages of all models into the result's rows.
absl::Status TimeStages(const BenchConfig& config, const std::vector<std::string>& paths,
                        BenchResult* result) {
  const double share = 1.0 / static_cast<double>(paths.size());
  Progress progress("bench", "models", static_cast<int64_t>(paths.size()));
  for (const std::string& path : paths) {
    MF_ASSIGN_OR_RETURN(const std::vector<BenchStage> stages, StagesOfModel(path, config.scratch()));
    for (size_t i = 0; i < stages.size(); ++i) {
      BenchRow& row = static_cast<int>(i) < result->rows_size() ? *result->mutable_rows(static_cast<int>(i))
                                                                : *result->add_rows();
      MF_ASSIGN_OR_RETURN(const Time time, Fastest(config.repeats(), stages[i].run));
      row.set_stage(stages[i].name);
      row.set_milliseconds(row.milliseconds() + time.cpu * share);
      row.set_wall_milliseconds(row.wall_milliseconds() + time.wall * share);
      row.set_bytes(row.bytes() + stages[i].bytes * share);
      row.set_operations(row.operations() + stages[i].operations * share);
      if (stages[i].target_milliseconds > 0) row.set_target_milliseconds(stages[i].target_milliseconds);
      if (stages[i].published_milliseconds > 0) {
        row.set_published_milliseconds(stages[i].published_milliseconds);
      }
    }
    progress.Add();
  }
  return absl::OkStatus();
}

// Sequences of 256 + 256 questions and answers from the cache at `root`.
absl::Status TimeTokens(const BenchConfig& config, const std::string& root, BenchResult* result) {
  constexpr int kSamples = 1000, kLength = 1026;
  MF_ASSIGN_OR_RETURN(ShapeList list, ShapeList::Open(root, "train"));
  const TokenDataset dataset = {std::make_shared<const ShapeList>(std::move(list)),
                                {.backend = Backend::kMesh},
                                {.n_point = 256, .n_ray = 256, .layout = {.qa_tokens = true}}};
  std::vector<float> feat(int64_t{kLength} * kFeatures);
  std::vector<uint8_t> type(kLength);
  const auto time = [&](const char* name, double target, const auto& take) -> absl::Status {
    const auto all = [&]() -> absl::Status {
      for (int i = 0; i < kSamples; ++i) MF_RETURN_IF_ERROR(take(i));
      return absl::OkStatus();
    };
    MF_ASSIGN_OR_RETURN(const Time taken, Fastest(config.repeats(), all));
    BenchRow& row = *result->add_rows();
    row.set_stage(name);
    row.set_milliseconds(taken.cpu / kSamples);
    row.set_wall_milliseconds(taken.wall / kSamples);
    row.set_target_milliseconds(target);
    row.set_bytes(kLength * (kFeatures * 4.0 + 1) + 256 * (16 + 40));
    return absl::OkStatus();
  };
  MF_RETURN_IF_ERROR(time("training sample, 256 + 256 Q/A, warm", 0.04, [&](int i) {
    return TrainTokens(dataset, i % dataset.shapes->size(), 0, 0, i, feat, type);
  }));
  result->mutable_rows(result->rows_size() - 1)->set_published_milliseconds(3.9);
  return time("deterministic-evaluation sample, the same", 0.2,
              [&](int i) { return EvalTokens(dataset, i % dataset.shapes->size(), 0, 0, feat, type); });
}

// A cache's index of 50,000 shapes of one layout.
absl::Status TimeManifest(const BenchConfig& config, const std::string& cache, BenchResult* result) {
  MF_ASSIGN_OR_RETURN(CacheManifest manifest, ReadManifest(cache));
  const ShapeEntry first = manifest.shapes(0);
  manifest.clear_shapes();
  for (int i = 0; i < 50000; ++i) {
    ShapeEntry& shape = *manifest.add_shapes() = first;
    shape.set_id(absl::StrCat(absl::Hex(0x9e3779b97f4a7c15u * i, absl::kZeroPad16), "_", i));
  }
  const std::string root = JoinPath(config.scratch(), "many");
  MF_RETURN_IF_ERROR(WriteManifest(root, std::move(manifest)));
  MF_ASSIGN_OR_RETURN(const Time time, Fastest(config.repeats(), [&]() -> absl::Status {
                        MF_ASSIGN_OR_RETURN(const CacheManifest read, ReadManifest(root));
                        return read.shapes_size() == 50000 ? absl::OkStatus() : absl::InternalError("shapes");
                      }));
  MF_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(JoinPath(root, kManifestName)));
  BenchRow& row = *result->add_rows();
  row.set_stage("manifest of 50,000 shapes opens");
  row.set_milliseconds(time.cpu);
  row.set_wall_milliseconds(time.wall);
  row.set_target_milliseconds(50);
  row.set_bytes(2.0 * static_cast<double>(file->bytes().size()));
  return absl::OkStatus();
}

// Memory of this process that no file backs, in bytes.
absl::StatusOr<int64_t> AnonymousBytes() {
  malloc_trim(0);
  MF_ASSIGN_OR_RETURN(const std::string status, ReadFile("/proc/self/status"));
  constexpr absl::string_view kField = "RssAnon:";
  const size_t at = status.find(kField.data());
  if (at == std::string::npos) return absl::NotFoundError("/proc/self/status: no RssAnon");
  return std::strtoll(status.c_str() + at + kField.size(), nullptr, 10) * 1024;
}

// What a loader holds beside its manifest once it has read each of `count` shapes: links to one small file.
absl::Status MeasureLoader(const BenchConfig& config, int count, BenchResult* result) {
  const std::string root = JoinPath(config.scratch(), "loader"), folder = JoinPath(root, "train/c");
  const auto values = [](int64_t rows, int64_t columns) {
    std::vector<int64_t> shape = {rows};
    if (columns > 1) shape.push_back(columns);
    return MakeArray(std::vector<float>(rows * columns, 0.5f), std::move(shape));
  };
  std::vector<NamedArray> arrays;
  for (const char* name : {"pt_xyz_pool", "ray_o_pool", "ray_d_pool", "ray_n_pool"}) {
    arrays.push_back({name, values(256, 3)});
  }
  for (const char* name : {"pt_dist_pool", "ray_hit_pool", "ray_t_pool"}) {
    arrays.push_back({name, values(256, 1)});
  }
  const std::string file = JoinPath(root, "shape.npz");
  MF_RETURN_IF_ERROR(WriteNpz(file, arrays));
  MF_RETURN_IF_ERROR(MakeDirectories(folder));
  for (int i = 0; i < count; ++i) {
    const std::string link = absl::StrCat(folder, "/", i, ".npz");
    if (symlink("../../shape.npz", link.c_str()) != 0) return absl::ErrnoToStatus(errno, link);
  }
  const auto clean = absl::MakeCleanup([&] {
    std::error_code ignored;
    std::filesystem::remove_all(root, ignored);
  });
  MF_ASSIGN_OR_RETURN(CacheManifest manifest, IndexCache(root, 1, /*checksums=*/false));
  MF_RETURN_IF_ERROR(WriteManifest(root, std::move(manifest)));
  MF_ASSIGN_OR_RETURN(ShapeList list, ShapeList::Open(root, "train"));
  MF_ASSIGN_OR_RETURN(const int64_t before, AnonymousBytes());
  const TokenDataset dataset = {std::make_shared<const ShapeList>(std::move(list)),
                                {.backend = Backend::kMesh},
                                {.n_point = 64, .n_ray = 64}};
  const int64_t length = SequenceLength(64, 64, {});
  std::vector<float> feat(length * kFeatures);
  std::vector<uint8_t> type(length);
  const double cpu = CpuMilliseconds(), wall = WallMilliseconds();
  for (int i = 0; i < count; ++i) MF_RETURN_IF_ERROR(TrainTokens(dataset, i, 0, 0, i, feat, type));
  BenchRow& row = *result->add_rows();
  row.set_stage(absl::StrCat("first sample of each of ", count, " shapes"));
  row.set_milliseconds((CpuMilliseconds() - cpu) / count);
  row.set_wall_milliseconds((WallMilliseconds() - wall) / count);
  MF_ASSIGN_OR_RETURN(const int64_t after, AnonymousBytes());
  row.set_memory_bytes(after - before);
  return absl::OkStatus();
}

double ProcessCpuMilliseconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
}

// How many times as fast `threads` threads are as one: by the clock; and by what the same shapes cost in CPU
// time, which shows what threads take from one another even where other programs hold the cores.
absl::Status TimeThreads(const BenchConfig& config, const std::vector<std::string>& paths,
                         BenchResult* result) {
  const int64_t n = static_cast<int64_t>(paths.size()) * 3;
  double wall[2] = {}, cpu[2] = {};
  for (int round = 0; round < std::max(2, config.repeats() / 2); ++round) {
    for (const int i : {0, 1}) {
      const int threads = i == 0 ? 1 : config.threads();
      const double wall_start = WallMilliseconds(), cpu_start = ProcessCpuMilliseconds();
      MF_RETURN_IF_ERROR(ParallelFor(n, threads, [&](int64_t k) {
        return BuildShapeFile(paths[k % paths.size()],
                              JoinPath(config.scratch(), absl::StrCat("thread", k % threads, ".npz")));
      }));
      const double wall_now = WallMilliseconds() - wall_start, cpu_now = ProcessCpuMilliseconds() - cpu_start;
      wall[i] = round == 0 ? wall_now : std::min(wall[i], wall_now);
      cpu[i] = round == 0 ? cpu_now : std::min(cpu[i], cpu_now);
    }
  }
  result->set_thread_ratio(wall[0] / wall[1]);
  result->set_thread_ratio_of_cpu_time(config.threads() * cpu[0] / cpu[1]);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BenchResult> Bench(const BenchConfig& config) {
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> paths, ModelPaths(config));
  const std::string& scratch = config.scratch();
  const std::string cache = JoinPath(scratch, "cache");
  const bool was_there = FileExists(scratch);
  const auto clean = absl::MakeCleanup([&] {
    std::error_code ignored;
    for (const char* name : {"cache", "many", "loader", "shape.npz"}) {
      std::filesystem::remove_all(JoinPath(scratch, name), ignored);
    }
    for (int i = 0; i < config.threads(); ++i) {
      std::filesystem::remove(JoinPath(scratch, absl::StrCat("thread", i, ".npz")), ignored);
    }
    if (!was_there) std::filesystem::remove(scratch, ignored);
  });
  BenchResult result;
  const MachineRates rates = MeasureMachine();
  result.set_bytes_per_second(rates.bytes_per_second);
  result.set_operations_per_second(rates.operations_per_second);
  MF_RETURN_IF_ERROR(TimeStages(config, paths, &result));
  for (size_t i = 0; i < paths.size(); ++i) {
    MF_RETURN_IF_ERROR(BuildShapeFile(paths[i], absl::StrCat(cache, "/train/c/", i, ".npz")));
  }
  MF_ASSIGN_OR_RETURN(CacheManifest manifest, IndexCache(cache, 1, /*checksums=*/false));
  MF_RETURN_IF_ERROR(WriteManifest(cache, std::move(manifest)));
  MF_RETURN_IF_ERROR(TimeTokens(config, cache, &result));
  MF_RETURN_IF_ERROR(TimeManifest(config, cache, &result));
  for (const int shapes : {5000, 50000}) MF_RETURN_IF_ERROR(MeasureLoader(config, shapes, &result));
  MF_RETURN_IF_ERROR(TimeThreads(config, paths, &result));
  SetLimits(&result);
  printf(
      "%s%d threads build %.2f times as many shapes a second as one (%.2f by the CPU time they take). One "
      "core: %.1f GB/s copied, %.0f Gop/s in single precision.\n",
      BenchTable(result).c_str(), config.threads(), result.thread_ratio(), result.thread_ratio_of_cpu_time(),
      rates.bytes_per_second / 1e9, rates.operations_per_second / 1e9);
  for (const BenchRow& row : result.rows()) {
    if (!row.has_memory_bytes()) continue;
    printf("%s: a loader holds %.1f MiB beside its manifest.\n", row.stage().c_str(),
           static_cast<double>(row.memory_bytes()) / (1 << 20));
  }
  return result;
}

}  // namespace manyform

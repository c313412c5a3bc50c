// What it costs to open a shape of the published size (1.6 MB, 18 arrays): mapped without a look at its
// content, known to this process, and verified for the first time (page cache warm) by the manifest's
// checksum or by the file's own.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "data/manifest.h"
#include "data/npz.h"

namespace manyform {
namespace {

struct Cache {
  std::string path;
  CacheManifest manifest;
};

Cache MakeCache(bool checksums) {
  const std::string root = absl::StrCat(std::filesystem::temp_directory_path().string(), "/shape_file_bench_",
                                        checksums ? "xxh3" : "crc");
  std::filesystem::remove_all(root);
  std::vector<NamedArray> arrays;
  const auto add = [&](int64_t rows, int64_t width) {
    arrays.push_back({absl::StrCat("a", arrays.size()),
                      MakeArray(std::vector<float>(static_cast<size_t>(rows * width), 0.5f), {rows, width})});
  };
  for (int i = 0; i < 2; ++i) add(2048, 3);
  add(20000, 3);
  for (int i = 0; i < 3; ++i) add(20000, 1);
  for (int i = 0; i < 2; ++i) add(64 * 64 * 32, 1);
  for (int i = 0; i < 4; ++i) add(8000, 3);
  for (int i = 0; i < 4; ++i) add(8000, 1);
  for (int i = 0; i < 2; ++i) add(1, 1);
  Cache cache{root + "/train/c/s.npz", {}};
  if (!WriteNpz(cache.path, arrays).ok()) abort();
  cache.manifest = *IndexCache(root, 1, checksums);
  return cache;
}

void Open(benchmark::State& state, bool checksums, VerifyShape verify, bool changed) {
  const Cache cache = MakeCache(checksums);
  int64_t second = 1;
  for (auto _ : state) {
    if (changed) {
      state.PauseTiming();
      const timespec times[2] = {{second, 0}, {second, 0}};
      ++second;
      if (utimensat(AT_FDCWD, cache.path.c_str(), times, 0) != 0) abort();
      state.ResumeTiming();
    }
    const auto shape = ShapeFile::Open(cache.path, cache.manifest.shapes(0), cache.manifest, verify);
    if (!shape.ok()) abort();
    benchmark::DoNotOptimize(shape);
  }
  state.counters["MB"] = static_cast<double>(cache.manifest.shapes(0).file_size()) * 1e-6;
}

void BM_OpenUnverified(benchmark::State& state) { Open(state, true, VerifyShape::kNever, false); }
void BM_OpenKnown(benchmark::State& state) { Open(state, true, VerifyShape::kOnce, false); }
void BM_OpenFirstByManifest(benchmark::State& state) { Open(state, true, VerifyShape::kOnce, true); }
void BM_OpenFirstByFile(benchmark::State& state) { Open(state, false, VerifyShape::kOnce, true); }
BENCHMARK(BM_OpenUnverified)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_OpenKnown)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_OpenFirstByManifest)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_OpenFirstByFile)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace manyform

BENCHMARK_MAIN();

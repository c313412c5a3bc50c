// What opening the manifest of a large cache takes, and how much memory it holds after.
#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "benchmark/benchmark.h"
#include "data/manifest.h"
#include "data/shape_list.h"

namespace manyform {
namespace {

constexpr int kShapes = 50000;

// As a build of ShapeNetCore.v2 leaves it: 55 classes, one layout, sources, mesh facts and checksums.
std::string Root() {
  static const std::string root = [] {
    std::string folder = (std::filesystem::temp_directory_path() / "manyform_manifest_bench").string();
    std::filesystem::create_directories(folder);
    CacheManifest manifest;
    ArrayLayout* layout = manifest.add_layouts();
    for (int i = 0; i < 22; ++i) {
      ArrayEntry* array = layout->add_arrays();
      array->set_name(absl::StrCat("array_pool_", i));
      array->set_dtype("<f4");
      array->add_shape(1000);
      array->set_offset(4096 * i);
    }
    for (int i = 0; i < kShapes; ++i) {
      ShapeEntry* shape = manifest.add_shapes();
      shape->set_split(i % 10 == 0 ? "test" : "train");
      shape->set_class_name(absl::StrFormat("%08d", 2691156 + i % 55 * 7919));
      shape->set_id(absl::StrFormat("%016x%016x", i * 0x9e3779b97f4a7c15u, i * 0xd1342543de82ef95u));
      shape->set_file_size(2000000);
      shape->set_checksum(i * 0x2545f4914f6cdd1du);
      shape->set_layout(0);
      shape->set_source(absl::StrCat("/data/ShapeNetCore.v2/", shape->class_name(), "/", shape->id(),
                                     "/models/model_normalized.obj"));
      shape->set_seed(i);
      MeshInfo* mesh = shape->mutable_mesh();
      mesh->set_vertices(1000 + i);
      mesh->set_faces(2000 + i);
      for (int k = 0; k < 3; ++k) mesh->add_extents(0.1 * k + i);
      mesh->set_area(1.5);
      mesh->set_watertight(false);
      mesh->set_components(20);
      mesh->set_volume(0.25);
    }
    if (!WriteManifest(folder, std::move(manifest)).ok()) abort();
    return folder;
  }();
  return root;
}

int64_t ResidentBytes() {
  malloc_trim(0);
  int64_t pages = 0, resident = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  // NOLINTNEXTLINE(bugprone-unchecked-string-to-number-conversion): the kernel writes numbers that fit.
  if (file == nullptr || fscanf(file, "%ld %ld", &pages, &resident) != 2) abort();
  fclose(file);
  return resident * sysconf(_SC_PAGESIZE);
}

void BM_ReadManifest(benchmark::State& state) {
  const std::string root = Root();
  const int64_t before = ResidentBytes();
  std::optional<absl::StatusOr<CacheManifest>> kept;
  for (auto _ : state) {
    state.PauseTiming();
    kept.reset();
    state.ResumeTiming();
    kept.emplace(ReadManifest(root));
  }
  state.counters["file_MB"] =
      1e-6 * static_cast<double>(std::filesystem::file_size(root + "/manifest.binpb"));
  state.counters["held_MB"] = 1e-6 * static_cast<double>(ResidentBytes() - before);
}
BENCHMARK(BM_ReadManifest)->Unit(benchmark::kMillisecond);

void BM_OpenManifest(benchmark::State& state) {
  const std::string root = Root();
  for (auto _ : state) benchmark::DoNotOptimize(OpenManifest(root));
}
BENCHMARK(BM_OpenManifest)->Unit(benchmark::kMillisecond);

void BM_WriteManifest(benchmark::State& state) {
  const std::string root = Root();
  const CacheManifest manifest = *ReadManifest(root);
  for (auto _ : state) benchmark::DoNotOptimize(WriteManifest(root, manifest));
}
BENCHMARK(BM_WriteManifest)->Unit(benchmark::kMillisecond);

// What a loader does at its start.
void BM_OpenShapeList(benchmark::State& state) {
  const std::string root = Root();
  const int64_t before = ResidentBytes();
  std::optional<absl::StatusOr<ShapeList>> kept;
  for (auto _ : state) {
    state.PauseTiming();
    kept.reset();
    state.ResumeTiming();
    kept.emplace(ShapeList::Open(root, "train"));
  }
  state.counters["held_MB"] = 1e-6 * static_cast<double>(ResidentBytes() - before);
}
BENCHMARK(BM_OpenShapeList)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace manyform

BENCHMARK_MAIN();

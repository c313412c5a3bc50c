// What building and opening shapes costs, at the published sizes.
#include <cmath>
#include <filesystem>
#include <string>

#include "absl/strings/str_format.h"
#include "benchmark/benchmark.h"
#include "data/manifest.h"
#include "data/npz.h"
#include "data/obj_reader.h"
#include "data/shape_arrays.h"

namespace manyform {
namespace {

// A bumpy sphere of 2 * side * side triangles, as OBJ.
std::string BumpySphere(int side) {
  std::string obj;
  for (int i = 0; i <= side; ++i) {
    for (int k = 0; k <= side; ++k) {
      const double a = M_PI * i / side, b = 2 * M_PI * k / side,
                   r = 1 + 0.1 * std::sin(9 * a) * std::cos(7 * b);
      absl::StrAppendFormat(&obj, "v %.9f %.9f %.9f\n", r * std::sin(a) * std::cos(b),
                            r * std::sin(a) * std::sin(b), r * std::cos(a));
    }
  }
  for (int i = 0; i < side; ++i) {
    for (int k = 1; k <= side; ++k) {
      const int v = i * (side + 1) + k;
      absl::StrAppendFormat(&obj, "f %d %d %d\nf %d %d %d\n", v, v + side + 1, v + 1, v + 1, v + side + 1,
                            v + side + 2);
    }
  }
  return obj;
}

void BM_ParseObj(benchmark::State& state) {
  const std::string obj = BumpySphere(static_cast<int>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(ParseObj(obj, "bench.obj").value());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(obj.size()));
}
BENCHMARK(BM_ParseObj)->Arg(50)->Arg(300)->Unit(benchmark::kMillisecond);

BuildCacheConfig Config(bool exact) {
  BuildCacheConfig config;
  config.set_pt_dist_mode(exact ? "mesh" : "kdtree");
  return config;
}

void BM_BuildShapeArrays(benchmark::State& state) {
  const TriangleMesh mesh = ParseObj(BumpySphere(static_cast<int>(state.range(1))), "bench.obj").value();
  const BuildCacheConfig config = Config(state.range(0) == 1);
  for (auto _ : state) benchmark::DoNotOptimize(BuildShapeArrays(mesh, config, 1).value());
}
BENCHMARK(BM_BuildShapeArrays)
    ->ArgNames({"exact", "side"})
    ->ArgsProduct({{0, 1}, {50, 300}})
    ->Unit(benchmark::kMillisecond);

std::vector<NamedArray> Arrays() {
  return BuildShapeArrays(ParseObj(BumpySphere(50), "bench.obj").value(), Config(false), 1).value();
}

void BM_EncodeNpz(benchmark::State& state) {
  const std::vector<NamedArray> arrays = Arrays();
  const NpzOptions options{.compress = state.range(0) == 1};
  size_t size = 0;
  for (auto _ : state) size = EncodeNpz(arrays, options)->size();
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(*StoredNpzSize(arrays)));
  state.counters["file_bytes"] = static_cast<double>(size);
}
BENCHMARK(BM_EncodeNpz)->ArgName("compress")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

// A sample's share of a shape: 256 of 20000 points. With a manifest, without one, compressed.
void BM_OpenShapeAndTouch(benchmark::State& state) {
  const std::string root = (std::filesystem::temp_directory_path() / "cache_bench").string();
  if (!WriteNpz(root + "/train/c/s.npz", Arrays(), {.compress = state.range(1) == 1}).ok()) abort();
  const CacheManifest manifest = IndexCache(root, 1, true).value();
  const std::string path = ShapePath(root, manifest.shapes(0));
  for (auto _ : state) {
    const auto shape =
        state.range(0) == 1 ? ShapeFile::Open(path, manifest.shapes(0), manifest) : ShapeFile::Open(path);
    const auto xyz = (*shape)->Get("pt_xyz_pool")->View<float>().value();
    const auto distance = (*shape)->Get("pt_dist_pool")->View<float>().value();
    float sum = 0;
    for (size_t i = 0; i < 256; ++i) sum += xyz[i * 78 * 3] + distance[i * 78];
    benchmark::DoNotOptimize(sum);
  }
  std::filesystem::remove_all(root);
}
BENCHMARK(BM_OpenShapeAndTouch)
    ->ArgNames({"manifest", "compressed"})
    ->ArgsProduct({{1, 0}, {0, 1}})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace manyform

BENCHMARK_MAIN();

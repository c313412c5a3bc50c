// Sequences a second from a cache like the published profile's (20000 points, 8000 rays) with 256 + 256
// query/answer pairs. "Warm": the shape was answered before; "cold": it is opened for this sequence alone,
// its pages in the system's cache.
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/numpy_random.h"
#include "benchmark/benchmark.h"
#include "data/loader.h"
#include "data/manifest.h"
#include "data/npz.h"

namespace manyform {
namespace {

constexpr int64_t kShapes = 400, kPoints = 20000, kRays = 8000;

std::vector<float> Uniform(NumpyRandomState& random, int64_t n) {
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(random.Uniform(-1, 1));
  return values;
}

std::vector<float> Positive(NumpyRandomState& random, int64_t n) {
  std::vector<float> values = Uniform(random, n);
  for (float& v : values) v = std::abs(v);
  return values;
}

// The same arrays at other places of 400 files: what counts is where memory is touched.
class SyntheticCache {
 public:
  SyntheticCache() : root_(std::filesystem::temp_directory_path() / absl::StrCat("loader_bench.", getpid())) {
    NumpyRandomState random(1);
    std::vector<NamedArray> arrays = {{"pc_xyz", MakeArray(Uniform(random, 2048 * 3), {2048, 3})},
                                      {"pc_n", MakeArray(Uniform(random, 2048 * 3), {2048, 3})},
                                      {"pt_xyz_pool", MakeArray(Uniform(random, kPoints * 3), {kPoints, 3})}};
    for (const char* name : {"pt_dist_pool", "pt_dist_pc_pool", "pt_dist_udf_pool"}) {
      arrays.push_back({name, MakeArray(Positive(random, kPoints), {kPoints})});
    }
    for (const char* name : {"ray_o_pool", "ray_d_pool", "ray_n_pool", "ray_n_pc_pool"}) {
      arrays.push_back({name, MakeArray(Uniform(random, kRays * 3), {kRays, 3})});
    }
    for (const char* name : {"ray_hit_pool", "ray_t_pool", "ray_hit_pc_pool", "ray_t_pc_pool"}) {
      arrays.push_back({name, MakeArray(Positive(random, kRays), {kRays})});
    }
    std::vector<int32_t> order;
    for (const int64_t i : random.Permutation(kPoints)) order.push_back(static_cast<int32_t>(i));
    order.resize(2048);
    arrays.push_back({"pt_fps_order", MakeArray(std::move(order), {2048})});
    const std::string bytes = EncodeNpz(arrays).value();
    for (int64_t i = 0; i < kShapes; ++i) {
      Check(WriteFileAtomically(absl::StrCat(root_, "/train/c/", i, ".npz"), bytes));
    }
    Check(WriteManifest(root_, IndexCache(root_, 0, false).value()));
  }
  ~SyntheticCache() { std::filesystem::remove_all(root_); }
  const std::string& root() const { return root_; }

 private:
  static void Check(const absl::Status& status) {
    if (!status.ok()) throw std::runtime_error(status.ToString());
  }
  const std::string root_;
};

TokenDataset Dataset(Backend backend, PointSampling sampling = PointSampling::kRandom) {
  static const SyntheticCache cache;
  return {std::make_shared<const ShapeList>(ShapeList::Open(cache.root(), "train").value()),
          {.backend = backend},
          {.n_point = 256, .n_ray = 256, .sampling = sampling, .layout = {.qa_tokens = true}}};
}

struct Buffers {
  std::vector<float> feat = std::vector<float>(1026 * kFeatures);
  std::vector<uint8_t> type = std::vector<uint8_t>(1026);
};

void Train(benchmark::State& state, Backend backend, bool warm) {
  const TokenDataset dataset = Dataset(backend);
  Buffers buffers;
  TokenDataset fresh = dataset;
  int64_t draw = 0;
  const auto take = [&](const TokenDataset& from) {
    // A stride through the shapes, so that neighbours in time are not neighbours in memory.
    return TrainTokens(from, draw * 149 % kShapes, 0, 0, draw, buffers.feat, buffers.type);
  };
  for (; warm && draw < kShapes; ++draw) (void)take(dataset);
  for (auto _ : state) {
    if (!warm && draw % kShapes == 0) {
      state.PauseTiming();
      fresh = Dataset(backend);
      state.ResumeTiming();
    }
    if (!take(warm ? dataset : fresh).ok()) state.SkipWithError("failed");
    ++draw;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(Train, mesh_warm, Backend::kMesh, true);
BENCHMARK_CAPTURE(Train, mesh_cold, Backend::kMesh, false);
BENCHMARK_CAPTURE(Train, pointcloud_warm, Backend::kPointcloud, true);
BENCHMARK_CAPTURE(Train, pointcloud_cold, Backend::kPointcloud, false);
BENCHMARK_CAPTURE(Train, udfgrid_warm, Backend::kUdfgrid, true);
BENCHMARK_CAPTURE(Train, udfgrid_cold, Backend::kUdfgrid, false);
BENCHMARK_CAPTURE(Train, voxel_cold, Backend::kVoxel, false);

void Eval(benchmark::State& state, PointSampling sampling) {
  const TokenDataset dataset = Dataset(Backend::kMesh, sampling);
  Buffers buffers;
  int64_t i = 0;
  const auto take = [&] {
    return EvalTokens(dataset, i++ * 149 % kShapes, 0, 0, buffers.feat, buffers.type);
  };
  while (i < kShapes) (void)take();
  for (auto _ : state) {
    if (!take().ok()) state.SkipWithError("failed");
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(Eval, random, PointSampling::kRandom);
BENCHMARK_CAPTURE(Eval, fps_stored, PointSampling::kFps);

// What an epoch begins with: a manifest of 50,000 shapes, the half of them in the split.
void OpenList(benchmark::State& state) {
  const std::string root = std::filesystem::temp_directory_path() / absl::StrCat("list_bench.", getpid());
  CacheManifest manifest;
  ArrayLayout layout;
  for (const char* name : {"pt_dist_pool", "pt_dist_pc_pool"}) {
    ArrayEntry* array = layout.add_arrays();
    array->set_name(name);
    array->set_dtype("<f4");
    array->add_shape(20000);
    array->set_offset(64);
  }
  for (int i = 0; i < 50000; ++i) {
    ShapeEntry* entry = manifest.add_shapes();
    entry->set_split(i % 2 == 0 ? "train" : "test");
    entry->set_class_name(absl::StrCat("0", 2691156 + i % 55));
    entry->set_id(absl::StrCat(absl::Hex(i * 0x9e3779b97f4a7c15u, absl::kZeroPad16), "a5d0f6a9b1c2d3e4"));
    entry->set_file_size(1600000 + i);
    entry->set_checksum(i * 0x9e3779b97f4a7c15u);
    entry->set_source(absl::StrCat("ShapeNetCore.v2/", entry->class_name(), "/", entry->id(),
                                   "/models/model_normalized.obj"));
    SetLayout(&manifest, entry, layout);
  }
  if (!WriteManifest(root, manifest).ok()) state.SkipWithError("cannot write");
  for (auto _ : state) {
    if (!ShapeList::Open(root, "train").ok()) state.SkipWithError("failed");
  }
  std::filesystem::remove_all(root);
}
BENCHMARK(OpenList)->Unit(benchmark::kMillisecond);

// Batches of 32 by state.range(0) threads.
void Batches(benchmark::State& state) {
  const TokenDataset dataset = Dataset(Backend::kMesh);
  const auto loader = BatchLoader::Create(
      {.num_workers = static_cast<int>(state.range(0)),
       .draws = [](int64_t epoch) { return MixtureDraws({kShapes}, {1}, 20000, true, 0, epoch); },
       .fill =
           [&](const Draw& draw, int64_t epoch, int64_t index, std::span<float> feat,
               std::span<uint8_t> type) {
             return TrainTokens(dataset, draw.shape, 0, epoch, index, feat, type);
           },
       .length = 1026,
       .epochs = int64_t{1} << 40});
  for (int i = 0; i < 100; ++i) (void)(*loader)->Next();
  for (auto _ : state) {
    if (!(*loader)->Next().ok()) state.SkipWithError("failed");
  }
  state.SetItemsProcessed(state.iterations() * 32);
}
BENCHMARK(Batches)->Arg(1)->Arg(2)->UseRealTime();

}  // namespace
}  // namespace manyform

BENCHMARK_MAIN();

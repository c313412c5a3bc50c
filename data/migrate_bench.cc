// What the migrations of one shape cost at the published sizes, file rewritten.
#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/numpy_random.h"
#include "benchmark/benchmark.h"
#include "data/migrate.h"
#include "data/migration.h"
#include "data/npz.h"
#include "proto/migrate.pb.h"

namespace manyform {
namespace {

constexpr int64_t kPool = 20000, kCloud = 2048, kRays = 8000, kGrid = 64;

Array Points(int64_t n, NumpyRandomState* random) {
  const std::vector<double> values = random->UniformVector(-1, 1, 3 * n);
  return MakeArray(std::vector<float>(values.begin(), values.end()), {n, 3});
}

// The arrays of a published shape, without pt_dist_pc_pool.
std::vector<NamedArray> Shape() {
  NumpyRandomState random(1);
  std::vector<NamedArray> arrays = {{"pc_xyz", Points(kCloud, &random)},
                                    {"pc_n", Points(kCloud, &random)},
                                    {"pt_xyz_pool", Points(kPool, &random)},
                                    {"pt_dist_pool", MakeArray(std::vector<float>(kPool), {kPool})},
                                    {"pt_dist_udf_pool", MakeArray(std::vector<float>(kPool), {kPool})}};
  const int64_t voxels = kGrid * kGrid * kGrid;
  arrays.push_back({"udf_grid", MakeHalfArray(std::vector<float>(voxels, 0.5f), {kGrid, kGrid, kGrid})});
  arrays.push_back({"occ_grid", MakeArray(std::vector<uint8_t>(voxels), {kGrid, kGrid, kGrid})});
  for (const char* name : {"ray_o_pool", "ray_d_pool", "ray_n_pool", "ray_n_pc_pool"}) {
    arrays.push_back({name, Points(kRays, &random)});
  }
  for (const char* name : {"ray_hit_pool", "ray_t_pool", "ray_hit_pc_pool", "ray_t_pc_pool"}) {
    arrays.push_back({name, MakeArray(std::vector<float>(kRays), {kRays})});
  }
  return arrays;
}

void BM_Migrate(benchmark::State& state, const std::string& what) {
  const std::string root = (std::filesystem::temp_directory_path() / "manyform_migrate_bench").string();
  const std::string path = root + "/train/class/shape.npz";
  if (!WriteNpz(path, Shape()).ok()) return state.SkipWithError("cannot write the shape");
  MigrateConfig config;
  config.set_what(what);
  config.set_overwrite(true);
  uint64_t bytes = 0;
  for (auto _ : state) {
    const auto file = MappedFile::Open(path);
    const auto npz = NpzReader::Open(path);
    if (!file.ok() || !npz.ok()) return state.SkipWithError("cannot read the shape");
    const auto migrated = MigratedBytes(config, *npz, (*file)->bytes(), path);
    if (!migrated.ok() || !WriteFileAtomically(path, **migrated).ok()) return state.SkipWithError("failed");
    bytes += 2 * (*migrated)->size();
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
  std::filesystem::remove_all(root);
}
BENCHMARK_CAPTURE(BM_Migrate, pt_dist_pc_pool, "pt_dist_pc_pool")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Migrate, pt_fps_order, "pt_fps_order")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Migrate, repack, "repack")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace manyform

BENCHMARK_MAIN();

// Isosurfaces of a sphere's distances, which is what shapes look like, and of noise, where half of the cells
// are ambiguous. One thread.
#include <cmath>
#include <cstdint>
#include <vector>

#include "benchmark/benchmark.h"
#include "geometry/marching_cubes.h"

namespace manyform {
namespace {

void Extract(benchmark::State& state, const std::vector<float>& grid, int g, double level) {
  int64_t faces = 0;
  for (auto _ : state) {
    const auto mesh = ExtractIsosurface(grid, g, CellCentreIsosurface(g, level));
    if (!mesh.ok()) return state.SkipWithError(mesh.status().ToString().c_str());
    faces = mesh->faces.rows();
  }
  state.counters["faces"] = static_cast<double>(faces);
}

void Sphere(benchmark::State& state) {
  const int g = static_cast<int>(state.range(0));
  std::vector<float> grid;
  const auto at = [&](int i) { return -1 + (i + 0.5) * 2 / g; };
  for (int i = 0; i < g * g * g; ++i) {
    grid.push_back(static_cast<float>(std::hypot(at(i / (g * g)), at(i / g % g), at(i % g)) - 0.7));
  }
  Extract(state, grid, g, 0);
}
BENCHMARK(Sphere)->Arg(32)->Arg(64)->Arg(128)->Arg(256)->Unit(benchmark::kMillisecond);

void Noise(benchmark::State& state) {
  const int g = static_cast<int>(state.range(0));
  std::vector<float> grid;
  uint32_t word = 1;
  for (int i = 0; i < g * g * g; ++i) {
    word = word * 1664525 + 1013904223;
    grid.push_back(static_cast<float>(word >> 8));
  }
  Extract(state, grid, g, 1 << 23);
}
BENCHMARK(Noise)->Arg(64)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace manyform

BENCHMARK_MAIN();

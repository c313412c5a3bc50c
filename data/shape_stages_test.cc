// Every stage between a mesh file and its cache, as the published system computes it: the mesh that is
// loaded, and each draw of the one random stream.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/numpy_random.h"
#include "data/mesh_reader.h"
#include "data/shape_draws.h"
#include "geometry/cameras.h"
#include "geometry/mesh.h"
#include "geometry/sampling.h"
#include "geometry/testing/golden.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

constexpr char kFolder[] = "testdata/golden/b_shapes/";

class Stages : public testing::TestWithParam<GoldenShape> {
 protected:
  Stages() : golden_(absl::StrCat("b_shapes/stages/", GetParam().name)) {
    const auto all = nlohmann::json::parse(*ReadFile(std::string(kFolder) + "params.json"));
    for (const auto& shape : all["shapes"]) {
      if (shape["name"] == GetParam().name) shape_ = shape;
    }
    EXPECT_EQ(shape_["seed"].get<uint32_t>(), GetParam().seed);
    const auto& params = shape_["params"];
    config_.set_pc_points(params["pc_points"]);
    config_.set_pt_pool(params["pt_pool"]);
    config_.set_pt_surface_ratio(params["pt_surface_ratio"]);
    config_.set_pt_surface_sigma(params["pt_surface_sigma"]);
    config_.set_dist_ref_points(params["dist_ref_points"]);
    rays_ = {
        .n_views = params["n_views"], .rays_per_view = params["rays_per_view"], .n_rays = params["ray_pool"]};
    kdtree_ = params["pt_dist_mode"] == "kdtree";
  }

  const Golden golden_;
  nlohmann::json shape_;
  BuildCacheConfig config_;
  RayPoolOptions rays_;
  bool kdtree_ = false;
};

TEST_P(Stages, LoadedMesh) {
  const auto mesh = ReadMesh(kFolder + shape_["mesh"].get<std::string>());
  ASSERT_TRUE(mesh.ok()) << mesh.status();
  EXPECT_EQ(Flat(mesh->vertices), golden_.Doubles("load_vertices_f64"));
  EXPECT_EQ(Flat(mesh->faces), golden_.Ints("load_faces"));
}

TEST_P(Stages, EveryDraw) {
  const TriangleMesh mesh = golden_.Mesh("norm_vertices_f64", "load_faces");
  const int64_t n = config_.pc_points();
  NumpyRandomState raw(GetParam().seed), random(GetParam().seed);
  EXPECT_EQ(raw.Rand(n), golden_.Doubles("rand_face_pick"));
  EXPECT_EQ(raw.Rand(2 * n), golden_.Doubles("rand_lengths"));
  const auto surface = SurfaceSampler::Create(mesh);
  ASSERT_TRUE(surface.ok()) << surface.status();
  const auto cloud = SamplePointCloud(*surface, mesh, n, random);
  ASSERT_TRUE(cloud.ok()) << cloud.status();
  EXPECT_EQ(Flat(cloud->xyz), golden_.Floats("cache/pc_xyz"));

  // The pool, drawn by hand beside the function.
  const std::vector<int64_t> counts = golden_.Longs("n_uni_n_surf");
  const std::vector<double> uniform = raw.UniformVector(-1, 1, 3 * counts[0]);
  EXPECT_EQ(std::vector<float>(uniform.begin(), uniform.end()), golden_.Floats("uni_f32"));
  const auto rows = raw.Choice(n, counts[1], n < counts[1]);
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(*rows, golden_.Longs("surf_idx"));
  const std::vector<double> jitter = raw.NormalVector(0, config_.pt_surface_sigma(), 3 * counts[1]);
  const std::vector<float> expected_jitter = golden_.Floats("jitter_f32");
  ASSERT_EQ(jitter.size(), expected_jitter.size());
  for (size_t i = 0; i < jitter.size(); ++i)
    ASSERT_NEAR(static_cast<float>(jitter[i]), expected_jitter[i], 1e-9) << i;
  const auto pool = DrawPointPool(cloud->xyz, config_, random);
  ASSERT_TRUE(pool.ok()) << pool.status();
  EXPECT_EQ(pool->rows(), counts[0] + counts[1]);
  EXPECT_EQ(Flat(PointsF(pool->topRows(counts[0]))), golden_.Floats("uni_f32"));
  for (int64_t i = 0; i < counts[1]; ++i) {
    for (int k = 0; k < 3; ++k) {
      const float sum = cloud->xyz((*rows)[i], k) + expected_jitter[3 * i + k];
      ASSERT_NEAR((*pool)(counts[0] + i, k), std::clamp(sum, -1.f, 1.f), 1e-7) << i;
    }
  }

  if (kdtree_ && n < config_.dist_ref_points()) {
    const auto reference = surface->Sample(config_.dist_ref_points(), random);
    ASSERT_TRUE(reference.ok()) << reference.status();
    EXPECT_EQ(Flat(PointsF(reference->points.cast<float>())), golden_.Floats("ref_points_f32"));
    raw.Rand(3 * config_.dist_ref_points());
  }
  const int64_t per_view = EffectiveRaysPerView(rays_);
  std::vector<float> uv;
  for (int view = 0; view < rays_.n_views; ++view) {
    for (const double x : raw.UniformVector(-1, 1, 2 * per_view)) uv.push_back(static_cast<float>(x));
  }
  const std::vector<float> expected_uv = golden_.Floats("uv_f32");
  ASSERT_LE(expected_uv.size(), uv.size());
  uv.resize(expected_uv.size());
  EXPECT_EQ(uv, expected_uv);
  ASSERT_TRUE(GenerateRays(rays_, random).ok());
  const uint32_t next = golden_.Words("next_u32_after_rays")[0];
  EXPECT_EQ(random.Next32(), next);
  EXPECT_EQ(raw.Next32(), next);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Stages, testing::ValuesIn(kGoldenShapes),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace manyform

#include "data/shape_arrays.h"

#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/match.h"
#include "base/files.h"
#include "data/mesh_reader.h"
#include "data/testing/golden_tolerance.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

constexpr char kFolder[] = "testdata/golden/b_shapes/";

nlohmann::json GoldenShape(const std::string& name) {
  const auto params = nlohmann::json::parse(*ReadFile(std::string(kFolder) + "params.json"));
  for (const auto& shape : params["shapes"]) {
    if (shape["name"] == name) return shape;
  }
  return {};
}

BuildCacheConfig ConfigOf(const nlohmann::json& params) {
  BuildCacheConfig config;
  config.set_pc_points(params["pc_points"]);
  config.set_pt_pool(params["pt_pool"]);
  config.set_ray_pool(params["ray_pool"]);
  config.set_n_views(params["n_views"]);
  config.set_rays_per_view(params["rays_per_view"]);
  config.set_pc_grid(params["pc_grid"]);
  config.set_pc_dilate(params["pc_dilate"]);
  config.set_pc_max_steps(params["pc_max_steps"]);
  config.set_df_grid(params["df_grid"]);
  config.set_df_dilate(params["df_dilate"]);
  config.set_pt_surface_ratio(params["pt_surface_ratio"]);
  config.set_pt_surface_sigma(params["pt_surface_sigma"]);
  config.set_pt_dist_mode(params["pt_dist_mode"].get<std::string>());
  config.set_dist_ref_points(params["dist_ref_points"]);
  return config;
}

std::optional<std::vector<NamedArray>> Build(const std::string& mesh_file, const BuildCacheConfig& config,
                                             uint32_t seed) {
  auto mesh = ReadMesh(mesh_file);
  EXPECT_TRUE(mesh.ok()) << mesh.status();
  if (!mesh.ok()) return std::nullopt;
  auto arrays = BuildShapeArrays(*std::move(mesh), config, seed);
  EXPECT_TRUE(arrays.ok()) << arrays.status();
  if (!arrays.ok()) return std::nullopt;
  return *std::move(arrays);
}

std::vector<float> Floats(const Array& array) { return *array.Values<float>(); }

class GoldenShapes : public testing::TestWithParam<const char*> {};

// Everything that is drawn, and every grid and cloud answer, is bit for bit the published system's; what its
// ray caster and its mesh distances give is so to their own precision.
TEST_P(GoldenShapes, WholeCacheFromMeshAndSeed) {
  const auto golden = GoldenShape(GetParam());
  const auto npz = NpzReader::Open(kFolder + golden["cache"].get<std::string>());
  ASSERT_TRUE(npz.ok()) << npz.status();
  const auto arrays =
      Build(kFolder + golden["mesh"].get<std::string>(), ConfigOf(golden["params"]), golden["seed"]);
  ASSERT_TRUE(arrays);
  const std::string distances = golden["params"]["pt_dist_mode"];
  ASSERT_EQ(arrays->size(), npz->members().size());
  for (size_t i = 0; i < arrays->size(); ++i) {
    const auto& [name, array] = (*arrays)[i];
    EXPECT_EQ(name, npz->members()[i].name);
    const Array expected = *npz->Read(name);
    EXPECT_EQ(array.dtype, expected.dtype) << name;
    ASSERT_EQ(array.shape, expected.shape) << name;
    const std::vector<double> a = *array.Values<double>(), b = *expected.Values<double>();
    const double tolerance = ShapeTolerance(name, distances);
    for (size_t k = 0; k < a.size(); ++k) ASSERT_NEAR(a[k], b[k], tolerance) << name << " " << k;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, GoldenShapes,
                         testing::Values("sphere", "box", "torus", "capsule", "lshape", "two", "sheet",
                                         "dirty"));

class Options : public testing::Test {
 protected:
  Options() {
    config_.set_pc_points(64);
    config_.set_pt_pool(50);
    config_.set_ray_pool(30);
    config_.set_n_views(4);
    config_.set_rays_per_view(5);
    config_.set_df_grid(8);
    config_.set_pc_grid(8);
    config_.set_dist_ref_points(100);
  }
  std::map<std::string, Array> Arrays() const {
    std::map<std::string, Array> arrays;
    const auto built = Build(std::string(kFolder) + "meshes/class_c/lshape.obj", config_, 7);
    if (!built) return arrays;
    for (const auto& [name, array] : *built) {
      arrays[name] = array;
    }
    return arrays;
  }
  BuildCacheConfig config_;
};

TEST_F(Options, AnnouncedArraysAreThoseBuilt) {
  for (const bool no_udf : {false, true}) {
    for (const bool no_pc_rays : {false, true}) {
      config_.set_no_udf(no_udf);
      config_.set_no_pc_rays(no_pc_rays);
      const auto announced = ShapeArraysWithoutData(config_);
      const auto built = Build(std::string(kFolder) + "meshes/class_c/lshape.obj", config_, 7);
      ASSERT_EQ(announced.size(), built->size());
      for (size_t i = 0; i < built->size(); ++i) {
        EXPECT_EQ(announced[i].name, (*built)[i].name);
        EXPECT_EQ(announced[i].array.dtype, (*built)[i].array.dtype);
        EXPECT_EQ(announced[i].array.shape, (*built)[i].array.shape);
      }
      EXPECT_EQ(*StoredNpzSize(announced), EncodeNpz(*built)->size());
    }
  }
}

TEST_F(Options, LeftOutAnswersAreAbsentAndChangeNothingElse) {
  const auto whole = Arrays();
  config_.set_no_udf(true);
  config_.set_no_pc_rays(true);
  const auto less = Arrays();
  const std::set<std::string> left_out = {"pt_dist_udf_pool", "udf_grid",     "occ_grid",
                                          "df_grid",          "df_dilate",    "ray_hit_pc_pool",
                                          "ray_t_pc_pool",    "ray_n_pc_pool"};
  for (const auto& [name, array] : whole) {
    ASSERT_EQ(less.contains(name), !left_out.contains(name)) << name;
    if (!left_out.contains(name)) {
      EXPECT_EQ(*array.Values<double>(), *less.at(name).Values<double>()) << name;
    }
  }
}

TEST_F(Options, PoolsAllUniformOrAllAtTheSurface) {
  config_.set_pt_surface_sigma(0);
  config_.set_pt_surface_ratio(1);
  auto arrays = Arrays();
  // Unmoved samples of the cloud are at distance zero from it.
  for (const float d : Floats(arrays["pt_dist_pc_pool"])) EXPECT_EQ(d, 0);
  config_.set_pt_surface_ratio(0);
  arrays = Arrays();
  EXPECT_EQ(arrays["pt_xyz_pool"].shape, (std::vector<int64_t>{50, 3}));
  config_.set_pt_surface_ratio(0.5);
  config_.set_pt_surface_sigma(1);
  arrays = Arrays();
  for (const float x : Floats(arrays["pt_xyz_pool"])) EXPECT_LE(std::abs(x), 1);
}

TEST_F(Options, CloudItselfServesAsReferenceWhenLargeEnough) {
  config_.set_dist_ref_points(64);
  auto arrays = Arrays();
  EXPECT_EQ(*arrays["pt_dist_pool"].Values<float>(), *arrays["pt_dist_pc_pool"].Values<float>());
}

TEST_F(Options, MeshDistancesAreNeverLargerThanThoseToSamples) {
  const auto sampled = Arrays();
  config_.set_pt_dist_mode("mesh");
  const auto exact = Arrays();
  const auto a = *exact.at("pt_dist_pool").View<float>(), b = *sampled.at("pt_dist_pool").View<float>();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_LE(a[i], b[i] + 1e-6f);
}

TEST_F(Options, GridsTooLargeAreNamed) {
  config_.set_df_grid(1024);
  const auto status = CheckShapeOptions(config_);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "df_grid: 1024")) << status;
}

TEST_F(Options, MeshesWithoutAreaAreErrors) {
  TriangleMesh mesh{PointsD::Zero(3, 3), Faces(1, 3)};
  mesh.faces << 0, 1, 2;
  EXPECT_EQ(BuildShapeArrays(mesh, config_, 0).status().code(), absl::StatusCode::kInvalidArgument);
  mesh.vertices(1, 0) = std::nan("");
  EXPECT_EQ(BuildShapeArrays(mesh, config_, 0).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(DescribeMesh, Box) {
  // A box of 2 x 3 x 4, of twelve triangles.
  TriangleMesh mesh{PointsD(8, 3), Faces(12, 3)};
  for (int v = 0; v < 8; ++v) mesh.vertices.row(v) << 2 * (v & 1), 3 * (v >> 1 & 1), 4 * (v >> 2);
  mesh.faces << 0, 2, 1, 1, 2, 3, 4, 5, 6, 5, 7, 6, 0, 1, 4, 1, 5, 4, 2, 6, 3, 3, 6, 7, 0, 4, 2, 2, 4, 6, 1,
      3, 5, 3, 7, 5;
  const MeshInfo info = DescribeMesh(mesh);
  EXPECT_EQ(info.vertices(), 8);
  EXPECT_EQ(info.faces(), 12);
  EXPECT_EQ(info.extents(0), 2);
  EXPECT_EQ(info.extents(2), 4);
  EXPECT_DOUBLE_EQ(info.area(), 2 * (2 * 3 + 3 * 4 + 2 * 4));
  EXPECT_TRUE(info.watertight());
}

}  // namespace
}  // namespace manyform

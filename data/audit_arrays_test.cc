#include "data/audit_arrays.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Arrays = std::map<std::string, AuditArray>;

Arrays Golden(const std::string& name) {
  const NpzReader npz = OrThrow(NpzReader::Open(absl::StrCat("testdata/golden/", name)));
  const AuditArrays arrays = AuditArrays::Read(npz, true);
  EXPECT_TRUE(arrays.damage().empty());
  return arrays.all();
}

Arrays Clean() { return Golden("c_tokens/cache/test/alpha/s0.npz"); }

std::vector<std::string> Kinds(const std::vector<Finding>& findings) {
  std::vector<std::string> kinds;
  for (const Finding& finding : findings) kinds.push_back(finding.kind());
  return kinds;
}
std::vector<std::string> ValueKinds(const Arrays& arrays) {
  return Kinds(CheckArrayValues(AuditArrays(arrays)));
}
std::vector<std::string> FallbackKinds(const Arrays& arrays, bool scan = false) {
  return Kinds(CheckFallbacks(AuditArrays(arrays), scan));
}
using List = std::vector<std::string>;

TEST(CheckArrayValues, PublishedShapesAreClean) {
  for (const char* name :
       {"b_shapes/cache/train/class_a/box.npz", "b_shapes/cache/train/class_a/sphere.npz",
        "b_shapes/cache/train/class_b/capsule.npz", "b_shapes/cache/train/class_b/torus.npz",
        "b_shapes/cache/train/class_c/lshape.npz", "b_shapes/cache/train/class_c/two.npz",
        "b_shapes/cache/train/class_d/dirty.npz", "b_shapes/cache/train/class_d/sheet.npz",
        "c_tokens/cache/test/alpha/s0.npz", "c_tokens/cache/test/beta/scan.npz",
        "d_splits/tiny/all/train/0100/m00.npz"}) {
    const Arrays arrays = Golden(name);
    EXPECT_EQ(ValueKinds(arrays), List()) << name;
    EXPECT_EQ(FallbackKinds(arrays), List()) << name;
  }
}

// Every published shape of the token set, and what was planted in it for its backends to fall back on.
TEST(CheckFallbacks, FindsWhatThePublishedTokenSetFallsBackOn) {
  EXPECT_EQ(FallbackKinds(Golden("c_tokens/cache/test/beta/old.npz")),
            (List{"mesh_distances_in_point_cloud", "mesh_rays_in_point_cloud", "mesh_distances_in_udf"}));
}

struct Plant {
  const char* kind;
  const char* array;
  std::function<void(AuditArray&)> change;
};

class PlantedValues : public testing::TestWithParam<Plant> {};

TEST_P(PlantedValues, AreTheOnlyFindings) {
  Arrays arrays = Clean();
  GetParam().change(arrays.at(GetParam().array));
  const std::vector<Finding> findings = CheckArrayValues(AuditArrays(arrays));
  ASSERT_EQ(Kinds(findings), List{GetParam().kind}) << GetParam().array;
  EXPECT_TRUE(absl::StartsWith(findings[0].text(), GetParam().array)) << findings[0].text();
  EXPECT_EQ(findings[0].severity(), "error");
}

const auto kSet = [](int64_t i, float v) { return [i, v](AuditArray& a) { a.values[i] = v; }; };

INSTANTIATE_TEST_SUITE_P(
    Kinds, PlantedValues,
    testing::Values(
        Plant{"not_finite", "pt_dist_pool", kSet(3, NAN)}, Plant{"not_finite", "udf_grid", kSet(9, INFINITY)},
        Plant{"not_finite", "ray_o_pool", kSet(1, -INFINITY)}, Plant{"out_of_cube", "pc_xyz", kSet(4, 1.01f)},
        Plant{"out_of_cube", "pt_xyz_pool", kSet(0, -7)},
        Plant{"negative_distance", "pt_dist_pc_pool", kSet(5, -0.01f)},
        Plant{"negative_distance", "udf_grid", kSet(0, -1)},
        Plant{"negative_distance", "ray_t_pc_pool", kSet(0, -1)}, Plant{"not_unit", "ray_d_pool", kSet(0, 3)},
        Plant{"not_unit", "ray_d_pool", [](AuditArray& a) { std::fill_n(a.values.begin(), 3, 0.f); }},
        Plant{"not_unit", "pc_n", kSet(0, 2)}, Plant{"not_binary", "ray_hit_pool", kSet(2, 0.5f)},
        Plant{"not_binary", "occ_grid", kSet(2, 2)},
        Plant{"index_out_of_range", "pt_fps_order", kSet(2, 400)},
        Plant{"index_out_of_range", "pc_fps_order", kSet(2, -1)},
        Plant{"repeated_index", "pt_fps_order", [](AuditArray& a) { a.values[1] = a.values[0]; }},
        Plant{"wrong_dtype", "pt_fps_order", [](AuditArray& a) { a.dtype = DType::kF32; }},
        Plant{"wrong_dtype", "pt_xyz_pool", [](AuditArray& a) { a.dtype = DType::kI32; }},
        Plant{"wrong_shape", "ray_t_pool",
              [](AuditArray& a) {
                a.shape = {48, 2};
              }},
        Plant{"wrong_shape", "ray_n_pool",
              [](AuditArray& a) {
                a.shape = {3, 96};
              }},
        Plant{"wrong_shape", "pt_dist_udf_pool",
              [](AuditArray& a) {
                a.shape = {399};
                a.values.pop_back();
              }},
        Plant{"wrong_shape", "occ_grid", [](AuditArray& a) {
                a.shape = {16, 32, 8};
              }}));

TEST(CheckArrayValues, CountsOffendersAndNamesTheFirst) {
  Arrays arrays = Clean();
  for (const int i : {17, 18, 300}) arrays["pt_dist_pool"].values[i] = -0.25f;
  const std::vector<Finding> findings = CheckArrayValues(AuditArrays(arrays));
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].text(), "pt_dist_pool is negative at 3 of 400, first -0.25 at 17");
  EXPECT_EQ(std::vector<double>(findings[0].numbers().begin(), findings[0].numbers().end()),
            (std::vector<double>{3, 17, -0.25}));
}

TEST(CheckFallbacks, PointCloudDistances) {
  Arrays arrays = Clean();
  arrays.erase("pt_dist_pc_pool");
  EXPECT_EQ(FallbackKinds(arrays), List{"mesh_distances_in_point_cloud"});
  EXPECT_EQ(FallbackKinds(arrays, true), List{"mesh_distances_in_point_cloud"});
  arrays = Clean();
  arrays["pt_dist_pc_pool"] = arrays["pt_dist_pool"];
  EXPECT_EQ(FallbackKinds(arrays), List{"mesh_distances_in_point_cloud"});
  // Where the mesh is sampled no denser than it is observed, its distances are the cloud's: nothing leaks.
  arrays = Clean();
  arrays["pt_dist_pool"] = arrays["pt_dist_pc_pool"];
  EXPECT_EQ(FallbackKinds(arrays), List());
  arrays = Clean();
  for (float& v : arrays["pt_dist_pc_pool"].values) v += 0.01f;
  EXPECT_EQ(FallbackKinds(arrays), List{"wrong_point_cloud_distances"});
}

TEST(CheckFallbacks, PointCloudRays) {
  Arrays arrays = Clean();
  for (const char* name : {"ray_hit_pc_pool", "ray_t_pc_pool", "ray_n_pc_pool"}) arrays.erase(name);
  EXPECT_EQ(FallbackKinds(arrays), List{"mesh_rays_in_point_cloud"});
  arrays = Clean();
  for (const char* name : {"ray_hit", "ray_t", "ray_n"}) {
    arrays[absl::StrCat(name, "_pc_pool")] = arrays[absl::StrCat(name, "_pool")];
  }
  EXPECT_EQ(FallbackKinds(arrays), List{"mesh_rays_in_point_cloud"});
  arrays = Clean();
  for (const char* name : {"ray_hit_pc_pool", "ray_t_pc_pool", "ray_n_pc_pool"}) {
    std::fill(arrays[name].values.begin(), arrays[name].values.end(), 0.f);
  }
  EXPECT_EQ(FallbackKinds(arrays), List{"point_cloud_rays_all_miss"});
}

TEST(CheckFallbacks, Field) {
  Arrays arrays = Clean();
  arrays.erase("pt_dist_udf_pool");
  EXPECT_EQ(FallbackKinds(arrays), List{"mesh_distances_in_udf"});
  arrays = Clean();
  arrays["pt_dist_udf_pool"] = arrays["pt_dist_pool"];
  arrays["udf_grid"] = {DType::kF16, {1, 1, 1}, {0}};
  EXPECT_EQ(FallbackKinds(arrays), (List{"mesh_distances_in_udf", "udf_grid_of_one_cell"}));
}

TEST(AuditArrays, ReadsEveryTypeAndNamesDamage) {
  std::string bytes = OrThrow(EncodeNpz(std::vector<NamedArray>{
      {"half", MakeHalfArray(std::vector<float>{0.5f, -2}, {2})},
      {"text", MakeStringArray({"a"})},
      {"ints", MakeArray<int64_t>({-3, 4, 5}, {3})},
  }));
  const auto read = [&] {
    return AuditArrays::Read(OrThrow(NpzReader::FromBytes("x.npz", {bytes.begin(), bytes.end()})), true);
  };
  const AuditArrays whole = read();
  EXPECT_EQ(whole.Find("half")->values, (std::vector<float>{0.5f, -2}));
  EXPECT_EQ(whole.Find("ints")->values, (std::vector<float>{-3, 4, 5}));
  EXPECT_TRUE(whole.Find("text")->values.empty());
  EXPECT_FALSE(whole.Has("none"));
  bytes[bytes.find(std::string("\x00\x38\x00\xc0", 4))] ^= 1;
  const AuditArrays damaged = read();
  EXPECT_FALSE(damaged.Has("half"));
  EXPECT_TRUE(damaged.Has("ints"));
  ASSERT_EQ(damaged.damage().size(), 1u);
  EXPECT_TRUE(absl::StrContains(damaged.damage()[0], "x.npz: array \"half\"")) << damaged.damage()[0];
}

}  // namespace
}  // namespace manyform

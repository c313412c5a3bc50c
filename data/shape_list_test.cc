#include "data/shape_list.h"

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

// A cache of two shapes that hold the mesh's answers alone.
class MeshAnswersOnly : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(root_);
    const auto floats = [](std::vector<int64_t> shape) {
      std::vector<float> values(shape.size() == 2 ? 6 : 2, 0.5f);
      return MakeArray(std::move(values), std::move(shape));
    };
    std::vector<NamedArray> arrays;
    for (const char* name : {"pc_xyz", "pc_n", "pt_xyz_pool", "ray_o_pool", "ray_d_pool", "ray_n_pool"}) {
      arrays.push_back({name, floats({2, 3})});
    }
    for (const char* name : {"pt_dist_pool", "ray_hit_pool", "ray_t_pool"}) {
      arrays.push_back({name, floats({2})});
    }
    for (const char* id : {"a", "b"}) {
      ASSERT_TRUE(WriteNpz(absl::StrCat(root_, "/test/chair/", id, ".npz"), arrays).ok());
    }
  }
  void WriteManifestThatSays(const std::string& build_config) const {
    CacheManifest manifest = OrThrow(IndexCache(root_, 1, true));
    manifest.set_build_config(build_config);
    ASSERT_TRUE(WriteManifest(root_, manifest).ok());
  }
  ShapeList Open() const { return OrThrow(ShapeList::Open(root_, "test")); }
  // What a list logs while both shapes answer.
  static std::string LogOf(const ShapeList& list, const BackendOptions& options) {
    testing::internal::CaptureStderr();
    for (int64_t i = 0; i < list.size(); ++i) EXPECT_TRUE(list.Answers(i, options).ok());
    return testing::internal::GetCapturedStderr();
  }
  const std::string root_ = testing::TempDir() + "/mesh_answers_only";
};

TEST_F(MeshAnswersOnly, ThatTheMeshStandsInIsSaidOnceForEachArray) {
  WriteManifestThatSays("");
  const ShapeList list = Open();
  EXPECT_EQ(LogOf(list, {.backend = Backend::kMesh}), "");
  EXPECT_EQ(LogOf(list, {.backend = Backend::kPointcloudNoray, .xyz_key = "pc_xyz"}), "");
  EXPECT_EQ(LogOf(list, {.backend = Backend::kUdfgrid, .dist_key = "ray_t_pool"}), "");
  const std::string cloud = LogOf(list, {.backend = Backend::kPointcloud});
  for (const char* array : {"test/chair/a.npz: no pt_dist_pc_pool", "test/chair/a.npz: no ray_hit_pc_pool"}) {
    EXPECT_TRUE(absl::StrContains(cloud, array)) << cloud;
  }
  EXPECT_FALSE(absl::StrContains(cloud, "b.npz")) << cloud;
  EXPECT_EQ(LogOf(list, {.backend = Backend::kPointcloudMeshray}), "");
  EXPECT_TRUE(absl::StrContains(LogOf(list, {.backend = Backend::kUdfgrid}), "no pt_dist_udf_pool"));
  // Another list says it again.
  EXPECT_NE(LogOf(Open(), {.backend = Backend::kUdfgrid}), "");
}

TEST_F(MeshAnswersOnly, AnswersThatTheBuildLeftOutAreRefused) {
  WriteManifestThatSays("n_views: 7\nno_pc_rays: true\nno_udf: true\n");
  const ShapeList list = Open();
  for (const auto& [backend, option] :
       {std::pair(Backend::kPointcloud, "no_pc_rays"), std::pair(Backend::kUdfgrid, "no_udf")}) {
    const absl::Status status = list.Answers(0, {.backend = backend}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), option)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "chair/a.npz")) << status;
  }
  // Who does not ask for them is answered.
  for (const Backend backend : {Backend::kMesh, Backend::kPointcloudNoray, Backend::kVoxel}) {
    EXPECT_TRUE(list.Answers(0, {.backend = backend, .voxel_grid = 4}).ok());
  }
  WriteManifestThatSays("no_pc_rays: false\nno_udf: false\n");
  EXPECT_TRUE(Open().Answers(0, {.backend = Backend::kUdfgrid}).ok());
}

TEST_F(MeshAnswersOnly, AScanAnswersForItself) {
  CacheManifest manifest = OrThrow(IndexCache(root_, 1, true));
  for (ShapeEntry& entry : *manifest.mutable_shapes()) entry.mutable_scan()->set_observed_points(2);
  ASSERT_TRUE(WriteManifest(root_, manifest).ok());
  EXPECT_EQ(LogOf(Open(), {.backend = Backend::kPointcloud}), "");
}

}  // namespace
}  // namespace manyform

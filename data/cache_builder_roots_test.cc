// Where meshes come from, and in how many shards they are built.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/files.h"
#include "data/cache_builder.h"
#include "data/manifest.h"
#include "data/merge_shards.h"
#include "data/npz.h"
#include "data/testing/small_collection.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr char kMeshes[] = "testdata/golden/d_splits/tiny/meshes";

BuildCacheConfig SmallBuild(const std::string& shapenet_root, const std::string& out) {
  BuildCacheConfig config;
  if (!shapenet_root.empty()) config.set_shapenet_root(shapenet_root);
  config.set_out_root(out);
  config.set_pc_points(32);
  config.set_pt_pool(24);
  config.set_ray_pool(16);
  config.set_n_views(4);
  config.set_pc_grid(8);
  config.set_df_grid(8);
  config.set_dist_ref_points(40);
  config.set_seed(5);
  return config;
}

BuildCacheResult MustBuild(const BuildCacheConfig& config) {
  auto result = BuildCache(config);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : BuildCacheResult();
}

TEST(BuildCacheRoots, OptionsThatDoNotGoTogether) {
  const std::string out = NewTestFolder("together");
  const auto expect_bad = [&](const BuildCacheConfig& config, absl::string_view why) {
    const auto status = BuildCache(config).status();
    EXPECT_TRUE(IsBadConfig(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), why)) << status;
  };
  BuildCacheConfig config = SmallBuild(kMeshes, out);
  config.set_tree_root("x");
  expect_bad(config, "exactly one of");
  config.clear_tree_root();
  config.set_shapenet_root("");
  expect_bad(config, "exactly one of");
  config.set_modelnet_root("x");
  config.set_test_ratio(0.1);
  expect_bad(config, "test_ratio");
  config.clear_test_ratio();
  config.set_split_seed(0);
  expect_bad(config, "split_seed");
  config.clear_split_seed();
  config.set_mesh_glob("*/*");
  expect_bad(config, "mesh_glob");
  config.clear_mesh_glob();
  EXPECT_EQ(BuildCache(config).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(FolderContent(out).empty());
}

// The same meshes in three layouts are the same shapes; only what the layout decides differs.
TEST(BuildCacheRoots, LayoutsOfOtherCollections) {
  const std::string modelnet = NewTestFolder("modelnet"), tree = NewTestFolder("tree_meshes");
  const auto put = [](const std::string& path, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(path, text).ok());
  };
  const std::string off = "OFF4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n";
  const std::string obj = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n";
  put(modelnet + "/chair/train/c1.off", off);
  put(modelnet + "/chair/test/c2.off", off);
  put(tree + "/chair/x/c1.obj", obj);
  put(tree + "/chair/y/c2.off", off);
  const std::string outs[] = {NewTestFolder("modelnet_mesh"), NewTestFolder("modelnet_kdtree"),
                              NewTestFolder("tree")};
  BuildCacheConfig config = SmallBuild("", outs[0]);
  config.set_modelnet_root(modelnet);
  MustBuild(config);
  // Sorted by path, "test" is before "train".
  CacheManifest manifest = *ReadManifest(outs[0]);
  ASSERT_EQ(manifest.shapes_size(), 2);
  EXPECT_EQ(manifest.shapes(0).split() + manifest.shapes(0).id(), "testc2");
  EXPECT_EQ(manifest.shapes(0).seed(), 5u);
  EXPECT_TRUE(manifest.shapes(0).mesh().watertight());
  EXPECT_EQ(manifest.shapes(0).mesh().components(), 1);
  EXPECT_DOUBLE_EQ(manifest.shapes(0).mesh().volume(), 1.0 / 6);
  EXPECT_TRUE(absl::StrContains(manifest.build_config(), "pt_dist_mode: \"mesh\""));
  EXPECT_FALSE(absl::StrContains(manifest.build_config(), "test_ratio"));
  EXPECT_EQ(*ReadFile(outs[0] + "/_splits/test.txt"), modelnet + "/chair/test/c2.off\n");
  EXPECT_EQ(MustBuild(config).skipped(), 2) << "its options are those of before";

  config.set_out_root(outs[1]);
  config.set_pt_dist_mode("kdtree");
  MustBuild(config);
  config.clear_modelnet_root();
  config.clear_pt_dist_mode();
  config.set_tree_root(tree);
  config.set_out_root(outs[2]);
  config.set_test_ratio(0);
  MustBuild(config);
  const auto distances = [](const std::string& path) {
    return *NpzReader::Open(path)->Read("pt_dist_pool")->Values<float>();
  };
  // Seed 5 is the first in the list.
  EXPECT_EQ(distances(outs[1] + "/test/chair/c2.npz"), distances(outs[2] + "/train/chair/x_c1.npz"));
  EXPECT_NE(distances(outs[0] + "/test/chair/c2.npz"), distances(outs[1] + "/test/chair/c2.npz"));
}

// Real meshes: what three shards make of them is what one build makes.
TEST(BuildCacheRoots, ThreeShardsMergeIntoOneCache) {
  const std::string whole = NewTestFolder("shards_whole"), out = NewTestFolder("shards");
  BuildCacheConfig config = SmallBuild(kMeshes, whole);
  MustBuild(config);
  config.set_out_root(out);
  for (const char* shard : {"2/3", "0/3", "1/3"}) {
    config.set_shard(shard);
    MustBuild(config);
  }
  MergeShardsConfig merge;
  merge.set_cache_root(out);
  const auto merged = MergeShards(merge);
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(merged->shapes(), 13);
  EXPECT_TRUE(FolderContent(out) == FolderContent(whole));
}

}  // namespace
}  // namespace manyform

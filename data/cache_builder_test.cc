#include "data/cache_builder.h"

#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "data/manifest.h"
#include "data/testing/golden_tolerance.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;
constexpr char kTiny[] = "testdata/golden/d_splits/tiny/";

std::string NewFolder(absl::string_view name) {
  std::string folder = absl::StrCat(testing::TempDir(), "/builder_", name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

// The options of the golden run.
BuildCacheConfig TinyConfig(const std::string& root, const std::string& out) {
  BuildCacheConfig config;
  config.set_shapenet_root(root);
  config.set_out_root(out);
  config.set_pc_points(32);
  config.set_pt_pool(24);
  config.set_ray_pool(16);
  config.set_n_views(4);
  config.set_rays_per_view(4);
  config.set_pc_grid(8);
  config.set_df_grid(8);
  config.set_dist_ref_points(40);
  config.set_seed(5);
  config.set_num_threads(2);
  return config;
}

std::string CopyOfMeshes(absl::string_view name) {
  std::string folder = NewFolder(name);
  fs::copy(std::string(kTiny) + "meshes", folder, fs::copy_options::recursive);
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    fs::permissions(file, fs::perms::owner_all);
  }
  return folder;
}

// Relative paths of all files below a folder, with their content.
std::map<std::string, std::string> Tree(const std::string& folder) {
  std::map<std::string, std::string> tree;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.is_regular_file()) tree[file.path().lexically_relative(folder)] = *ReadFile(file.path());
  }
  return tree;
}

BuildCacheResult MustBuild(const BuildCacheConfig& config) {
  auto result = BuildCache(config);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : BuildCacheResult();
}

void ExpectSameArrays(const std::string& path, const std::string& golden) {
  const auto a = NpzReader::Open(path), b = NpzReader::Open(golden);
  ASSERT_TRUE(a.ok()) << a.status();
  ASSERT_TRUE(b.ok()) << b.status();
  ASSERT_EQ(a->members().size(), b->members().size());
  for (const NpzMember& member : b->members()) {
    const auto ours = a->Read(member.name);
    ASSERT_TRUE(ours.ok()) << ours.status();
    const Array theirs = *b->Read(member.name);
    EXPECT_EQ(ours->dtype, theirs.dtype) << member.name;
    ASSERT_EQ(ours->shape, theirs.shape) << member.name;
    const std::vector<double> x = *ours->Values<double>(), y = *theirs.Values<double>();
    const double tolerance = ShapeTolerance(member.name, "kdtree");
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], tolerance) << path << " " << member.name;
  }
}

// Seeds, splits and everything else: the published program's output for the same folder and options.
TEST(BuildCache, PublishedCaches) {
  for (const auto& [split, golden, shapes] :
       {std::tuple("all", "all", 13), std::tuple("test", "test_only", 1)}) {
    const std::string out = NewFolder(golden);
    BuildCacheConfig config = TinyConfig(std::string(kTiny) + "meshes", out);
    config.set_split(split);
    const BuildCacheResult result = MustBuild(config);
    EXPECT_EQ(result.built(), shapes);
    EXPECT_EQ(result.failed_size(), 0);
    const auto ours = Tree(out), theirs = Tree(std::string(kTiny) + golden);
    EXPECT_EQ(ours.size(), theirs.size() + 1) << "the manifest is ours";
    for (const auto& [name, content] : theirs) {
      if (absl::EndsWith(name, ".npz")) {
        ExpectSameArrays(absl::StrCat(out, "/", name), absl::StrCat(kTiny, golden, "/", name));
      }
    }
  }
}

// The published lists hold the paths as they were globbed; so do ours.
TEST(BuildCache, SplitListsHoldPathsAsTyped) {
  const std::string out = NewFolder("lists");
  const std::string root = std::string(kTiny) + "meshes";
  MustBuild(TinyConfig(root, out));
  for (const char* list : {"train.txt", "test.txt"}) {
    std::string expected;
    std::ifstream published(absl::StrCat(kTiny, "all/_splits/", list));
    for (std::string line; std::getline(published, line);) {
      absl::StrAppend(&expected, root, line.substr(strlen("tiny/meshes")), "\n");
    }
    EXPECT_EQ(*ReadFile(absl::StrCat(out, "/_splits/", list)), expected);
  }
}

TEST(BuildCache, ManifestDescribesTheFiles) {
  const std::string out = NewFolder("manifest");
  const BuildCacheResult result = MustBuild(TinyConfig(std::string(kTiny) + "meshes", out));
  const CacheManifest manifest = *ReadManifest(out);
  ASSERT_EQ(manifest.shapes_size(), 13);
  EXPECT_EQ(manifest.layouts_size(), 1);
  EXPECT_TRUE(absl::StrContains(manifest.build_config(), "pc_points: 32"));
  EXPECT_FALSE(absl::StrContains(manifest.build_config(), out));
  EXPECT_FALSE(absl::StrContains(manifest.build_config(), "num_threads"));
  uint64_t bytes = 0;
  for (const ShapeEntry& shape : manifest.shapes()) {
    EXPECT_TRUE(VerifyShapeFile(ShapePath(out, shape), shape).ok());
    bytes += shape.file_size();
    const auto file = ShapeFile::Open(ShapePath(out, shape), shape, manifest);
    EXPECT_EQ((*file)->Get("pc_xyz")->View<float>()->size(), 32u * 3);
    EXPECT_TRUE(shape.mesh().watertight());
  }
  EXPECT_EQ(result.cache_bytes(), static_cast<int64_t>(bytes));
  // "test" sorts before "train"; m02 is third in the list, so its seed is 5 + 2.
  EXPECT_EQ(manifest.shapes(0).id(), "m02");
  EXPECT_EQ(manifest.shapes(0).seed(), 7u);
  EXPECT_FALSE(FileExists(out + "/_meta"));
}

TEST(BuildCache, AnyNumberOfThreadsMakesTheSameBytes) {
  std::map<std::string, std::string> first;
  for (const int threads : {1, 3, 8}) {
    const std::string out = NewFolder(absl::StrCat("threads_", threads));
    BuildCacheConfig config = TinyConfig(std::string(kTiny) + "meshes", out);
    config.set_num_threads(threads);
    MustBuild(config);
    if (first.empty()) first = Tree(out);
    EXPECT_TRUE(Tree(out) == first) << threads;
  }
  EXPECT_EQ(first.size(), 16u);
}

TEST(BuildCache, RunAgainSkipsWhatIsThereAndRestoresWhatIsNot) {
  const std::string out = NewFolder("again");
  const BuildCacheConfig config = TinyConfig(std::string(kTiny) + "meshes", out);
  MustBuild(config);
  const auto whole = Tree(out);
  BuildCacheResult result = MustBuild(config);
  EXPECT_EQ(result.built(), 0);
  EXPECT_EQ(result.skipped(), 13);
  EXPECT_TRUE(Tree(out) == whole);

  // Gone, cut short, and left over from a killed process (no process has this number).
  fs::remove(out + "/train/0100/m07.npz");
  fs::resize_file(out + "/train/0200/m11.npz", 1000);
  std::ofstream(out + "/train/0100/.m03.npz.tmp.4194305.0") << "half a file";
  result = MustBuild(config);
  EXPECT_EQ(result.built(), 2);
  EXPECT_EQ(result.skipped(), 11);
  EXPECT_TRUE(Tree(out) == whole);
}

TEST(BuildCache, TrainAndThenTestIntoOneCache) {
  const std::string out = NewFolder("one_by_one");
  BuildCacheConfig config = TinyConfig(std::string(kTiny) + "meshes", out);
  config.set_split("train");
  EXPECT_EQ(MustBuild(config).built(), 12);
  config.set_split("test");
  EXPECT_EQ(MustBuild(config).built(), 1);
  EXPECT_EQ(ReadManifest(out)->shapes_size(), 13);
  ExpectSameArrays(out + "/test/0100/m02.npz", std::string(kTiny) + "test_only/test/0100/m02.npz");
  // Seeds count within the split, so all at once is another cache.
  config.set_split("all");
  const auto status = BuildCache(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "split=all")) << status;
}

TEST(BuildCache, OtherOptionsAreRefusedByName) {
  const std::string out = NewFolder("other_options");
  BuildCacheConfig config = TinyConfig(std::string(kTiny) + "meshes", out);
  MustBuild(config);
  const auto before = Tree(out);
  config.set_pt_pool(25);
  config.set_seed(6);
  auto result = BuildCache(config);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(result.status().message(), "pt_pool=24, not 25")) << result.status();
  EXPECT_TRUE(Tree(out) == before);

  config.set_overwrite(true);
  EXPECT_EQ(MustBuild(config).built(), 13);
  const std::string fresh = NewFolder("other_options_fresh");
  config.set_out_root(fresh);
  config.set_overwrite(false);
  MustBuild(config);
  EXPECT_TRUE(Tree(out) == Tree(fresh));
}

TEST(BuildCache, ADamagedManifestIsReportedOrReplaced) {
  const std::string out = NewFolder("damaged");
  BuildCacheConfig config = TinyConfig(std::string(kTiny) + "meshes", out);
  MustBuild(config);
  const auto whole = Tree(out);
  std::ofstream(out + "/manifest.binpb") << "\xff\xff";
  EXPECT_EQ(BuildCache(config).status().code(), absl::StatusCode::kDataLoss);
  config.set_overwrite(true);
  EXPECT_EQ(MustBuild(config).built(), 13);
  EXPECT_TRUE(Tree(out) == whole);
}

TEST(BuildCache, OverwritingOneSplitLeavesNoMixture) {
  const std::string out = NewFolder("mixture");
  BuildCacheConfig config = TinyConfig(std::string(kTiny) + "meshes", out);
  MustBuild(config);
  config.set_split("test");
  config.set_pt_pool(25);
  config.set_overwrite(true);
  const auto status = BuildCache(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "train shapes that split=test leaves alone")) << status;
}

TEST(BuildCache, AnotherListOfMeshesIsRefused) {
  const std::string root = CopyOfMeshes("list_meshes"), out = NewFolder("list");
  BuildCacheConfig config = TinyConfig(root, out);
  MustBuild(config);
  fs::create_directories(root + "/0150/n/models");
  fs::copy(root + "/0100/m00/models/model_normalized.obj", root + "/0150/n/models/model_normalized.obj");
  EXPECT_EQ(BuildCache(config).status().code(), absl::StatusCode::kFailedPrecondition);
  fs::remove_all(root + "/0150");
  fs::remove_all(root + "/0200/m12");
  const auto status = BuildCache(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "train/0200/m12")) << status;
  config.set_overwrite(true);
  MustBuild(config);
  EXPECT_FALSE(FileExists(out + "/train/0200/m12.npz"));
  EXPECT_EQ(ReadManifest(out)->shapes_size(), 12);
}

TEST(BuildCache, ShapesMadeElsewhereAreNotReplacedUnasked) {
  const std::string out = NewFolder("elsewhere");
  fs::copy(std::string(kTiny) + "all", out, fs::copy_options::recursive);
  for (const auto& file : fs::recursive_directory_iterator(out)) fs::permissions(file, fs::perms::owner_all);
  const auto before = Tree(out);
  BuildCacheConfig config = TinyConfig(std::string(kTiny) + "meshes", out);
  const auto status = BuildCache(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "test/0100/m02.npz")) << status;
  EXPECT_TRUE(Tree(out) == before);
  // A manifest that only indexes them does not say how they were built.
  ASSERT_TRUE(WriteManifest(out, *IndexCache(out, 1, true)).ok());
  EXPECT_EQ(BuildCache(config).status().code(), absl::StatusCode::kFailedPrecondition);
  config.set_overwrite(true);
  EXPECT_EQ(MustBuild(config).built(), 13);
}

TEST(BuildCache, BadMeshesAreListedAndTheRestGoesOn) {
  const std::string root = CopyOfMeshes("bad_meshes"), out = NewFolder("bad");
  const auto mesh = [&](const std::string& shape) {
    return root + "/" + shape + "/models/model_normalized.obj";
  };
  const std::string good = *ReadFile(mesh("0100/m03"));
  std::ofstream(mesh("0100/m03")) << "v 0 0 0\nv 1 0 0\nf 1 2 3\n";
  std::ofstream(mesh("0100/m04")) << "v nan nan nan\nv nan 0 0\nv 0 nan 0\nf 1 2 3\n";
  std::ofstream(mesh("0200/m11")) << "v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n";
  fs::create_directories(root + "/0300");
  const BuildCacheConfig config = TinyConfig(root, out);
  BuildCacheResult result = MustBuild(config);
  EXPECT_EQ(result.built(), 10);
  ASSERT_EQ(result.failed_size(), 3);
  EXPECT_TRUE(absl::StrContains(result.failed(0).reason(), "m03/models/model_normalized.obj:3: face refers"));
  EXPECT_TRUE(absl::StrContains(result.failed(1).reason(), "no faces with finite vertices"));
  EXPECT_TRUE(absl::StrContains(result.failed(2).reason(), "no area")) << result.failed(2).reason();
  const CacheManifest manifest = *ReadManifest(out);
  ASSERT_EQ(manifest.failed_size(), 3);
  EXPECT_EQ(manifest.failed(1).id(), "m04");
  EXPECT_EQ(manifest.shapes_size(), 10);
  EXPECT_FALSE(FileExists(out + "/train/0100/m03.npz"));
  // The seeds of the others are what they would have been.
  ExpectSameArrays(out + "/train/0100/m05.npz", std::string(kTiny) + "all/train/0100/m05.npz");

  // A mended mesh is built by the next run.
  std::ofstream(mesh("0100/m03")) << good;
  result = MustBuild(config);
  EXPECT_EQ(result.built(), 1);
  EXPECT_EQ(result.failed_size(), 2);
  ExpectSameArrays(out + "/train/0100/m03.npz", std::string(kTiny) + "all/train/0100/m03.npz");
}

TEST(BuildCache, NothingToBuildIsAnError) {
  const std::string root = NewFolder("none_meshes"), out = NewFolder("none");
  BuildCacheConfig config = TinyConfig(root, out);
  EXPECT_EQ(BuildCache(config).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileAtomically(root + "/c/m/models/model_normalized.obj", "v 0\n").ok());
  const auto status = BuildCache(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "none of 1 shapes")) << status;
  EXPECT_FALSE(FileExists(out + "/manifest.binpb"));
  config.set_split("test");
  EXPECT_EQ(BuildCache(config).status().code(), absl::StatusCode::kNotFound);
  config.set_split("all");
  config.set_df_grid(1000);
  EXPECT_TRUE(absl::StrContains(BuildCache(config).status().message(), "df_grid"));
}

TEST(BuildCache, MoreThanTheDiskHoldsIsRefusedBeforeWork) {
  constexpr int kMeshes = 1000, kBytesPerRay = 64;
  const std::string root = NewFolder("full_meshes"), out = NewFolder("full");
  for (int i = 0; i < kMeshes; ++i) {
    const std::string path = absl::StrCat(root, "/c/", i, "/models/model_normalized.obj");
    ASSERT_TRUE(WriteFileAtomically(path, "").ok());
  }
  BuildCacheConfig config = TinyConfig(root, out);
  // As many rays as just do not fit. What else is on the disk may take or give a quarter meanwhile.
  const uint64_t rays = 5 * (*FreeDiskBytes(out) / 4 / kMeshes / kBytesPerRay);
  ASSERT_LE(rays, 100'000'000u) << "beyond what the option takes: more meshes are needed";
  config.set_ray_pool(static_cast<int32_t>(rays));
  const auto status = BuildCache(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "bytes, but only")) << status;
  EXPECT_TRUE(Tree(out).empty());
}

TEST(BuildCache, CompressedCachesHoldTheSameArrays) {
  const std::string out = NewFolder("compressed");
  BuildCacheConfig config = TinyConfig(std::string(kTiny) + "meshes", out);
  config.set_compress(true);
  MustBuild(config);
  const CacheManifest manifest = *ReadManifest(out);
  EXPECT_TRUE(manifest.layouts(0).arrays(0).compressed());
  ExpectSameArrays(out + "/train/0100/m05.npz", std::string(kTiny) + "all/train/0100/m05.npz");
}

// The limit stands for a disk that fills: writes beyond it fail with EFBIG.
TEST(BuildCache, AFullDiskStopsWithoutHalfFilesAndCanGoOn) {
  const std::string out = NewFolder("limit"), whole = NewFolder("limit_whole");
  BuildCacheConfig config = TinyConfig(std::string(kTiny) + "meshes", whole);
  MustBuild(config);
  config.set_out_root(out);
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small = {5000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto status = BuildCache(config).status();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  for (const auto& [name, content] : Tree(out)) EXPECT_FALSE(absl::EndsWith(name, ".npz")) << name;
  MustBuild(config);
  EXPECT_TRUE(Tree(out) == Tree(whole));
}

TEST(BuildCache, AnInterruptedBuildGoesOn) {
  const std::string out = NewFolder("interrupt"), whole = NewFolder("interrupt_whole");
  BuildCacheConfig config = TinyConfig(std::string(kTiny) + "meshes", whole);
  MustBuild(config);
  config.set_out_root(out);
  SetInterruptedForTest(true);
  EXPECT_EQ(BuildCache(config).status().code(), absl::StatusCode::kCancelled);
  SetInterruptedForTest(false);
  EXPECT_FALSE(FileExists(out + "/manifest.binpb"));
  EXPECT_EQ(MustBuild(config).built(), 13);
  EXPECT_TRUE(Tree(out) == Tree(whole));
}

}  // namespace
}  // namespace manyform

#include "data/scan_builder.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "base/config.h"
#include "base/files.h"
#include "data/backends.h"
#include "data/manifest.h"
#include "data/npy.h"
#include "data/testing/golden_npz.h"
#include "data/testing/hdf5_writer.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;
constexpr char kScans[] = "testdata/golden/b_shapes/scan/h5/main_split";
constexpr char kGoldenCache[] = "testdata/golden/b_shapes/scan/cache";

std::string NewFolder(absl::string_view name) {
  std::string folder = absl::StrCat(testing::TempDir(), "/scan_builder_", name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

std::map<std::string, std::string> Tree(const std::string& folder) {
  std::map<std::string, std::string> tree;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.is_regular_file()) tree[fs::relative(file.path(), folder)] = *ReadFile(file.path());
  }
  return tree;
}

// The golden run's options.
BuildScanCacheConfig GoldenConfig(const std::string& out) {
  BuildScanCacheConfig config;
  config.set_scan_root(kScans);
  config.set_out_root(out);
  config.set_pt_pool(150);
  config.set_ray_pool(9);
  config.set_seed(3);
  config.set_num_threads(2);
  return config;
}

BuildScanCacheConfig CloudConfig(const std::string& root, const std::string& out) {
  BuildScanCacheConfig config;
  config.set_cloud_root(root);
  config.set_out_root(out);
  config.set_pt_pool(40);
  config.set_ray_pool(5);
  config.set_num_threads(2);
  return config;
}

void WriteHdf5(const std::string& path, const std::vector<uint8_t>& bytes) {
  ASSERT_TRUE(WriteFileAtomically(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}).ok());
}

std::vector<float> Floats(const std::string& path, const std::string& array) {
  return OrThrow(OrThrow(OrThrow(NpzReader::Open(path)).Read(array)).Values<float>());
}

TEST(BuildScanCache, TheGoldenCacheBitForBit) {
  const std::string out = NewFolder("golden");
  const auto result = BuildScanCache(GoldenConfig(out));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->built(), 6);
  EXPECT_EQ(result->resampled(), 0);
  ASSERT_EQ(result->left_out_size(), 1);
  EXPECT_EQ(result->left_out(0).source(), std::string(kScans) + "/train_broken.h5");
  EXPECT_EQ(result->left_out(0).reason(), "has no dataset data");

  int compared = 0;
  for (const auto& file : fs::recursive_directory_iterator(kGoldenCache)) {
    if (file.path().extension() != ".npz") continue;
    SCOPED_TRACE(file.path());
    const std::string ours = absl::StrCat(out, "/", fs::relative(file.path(), kGoldenCache).string());
    const NpzReader golden = OrThrow(NpzReader::Open(file.path())), built = OrThrow(NpzReader::Open(ours));
    ASSERT_EQ(built.members().size(), golden.members().size());
    for (const NpzMember& member : golden.members()) {
      SCOPED_TRACE(member.name);
      const Array expected = OrThrow(golden.Read(member.name)), array = OrThrow(built.Read(member.name));
      EXPECT_EQ(array.dtype, expected.dtype);
      EXPECT_EQ(array.shape, expected.shape);
      EXPECT_EQ(OrThrow(array.Values<float>()), OrThrow(expected.Values<float>()));
      ++compared;
    }
  }
  EXPECT_EQ(compared, 6 * 9);
  for (const char* split : {"train", "test"}) {
    const std::string name = absl::StrCat("_meta/scanobjectnn_", split, "_source.txt");
    EXPECT_EQ(*ReadFile(JoinPath(out, name)),
              absl::StrReplaceAll(*ReadFile(JoinPath(kGoldenCache, name)),
                                  {{"<b_shapes>/scan/h5/main_split", kScans}}));
  }
}

TEST(BuildScanCache, ManifestSaysWhatEachScanIs) {
  const std::string out = NewFolder("manifest");
  BuildScanCacheConfig config = GoldenConfig(out);
  config.set_pc_points(90);
  const auto result = BuildScanCache(config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->resampled(), 2);  // those of test have 80
  const CacheManifest manifest = OrThrow(ReadManifest(out));
  ASSERT_EQ(manifest.shapes_size(), 6);
  for (const ShapeEntry& shape : manifest.shapes()) {
    const bool test = shape.split() == "test";
    EXPECT_EQ(shape.seed(), test ? 12348 : 3);
    EXPECT_EQ(shape.scan().observed_points(), test                                            ? 80
                                              : shape.source().ends_with("extra_training.h5") ? 400
                                                                                              : 96);
    EXPECT_EQ(shape.scan().resampled(), test);
    EXPECT_EQ(shape.class_name(), absl::StrFormat("class_%03d", shape.scan().label()));
    EXPECT_TRUE(shape.id().ends_with(absl::StrFormat("_%06d", shape.scan().row())));
    // Of the same points, more than once only where they are too few.
    const std::string path = ShapePath(out, shape);
    const std::string golden = ShapePath(kGoldenCache, shape);
    const std::vector<float> points = Floats(path, "pc_xyz"), all = Floats(golden, "pc_xyz");
    ASSERT_EQ(points.size(), 270);
    std::set<std::array<float, 3>> known, seen;
    for (size_t i = 0; i < all.size(); i += 3) known.insert({all[i], all[i + 1], all[i + 2]});
    for (size_t i = 0; i < points.size(); i += 3) {
      const std::array<float, 3> point = {points[i], points[i + 1], points[i + 2]};
      EXPECT_TRUE(known.contains(point));
      seen.insert(point);
    }
    EXPECT_EQ(seen.size(), test ? 80 : 90);
    // The uniform half of the pool depends on no choice of points; for the first scan even on no other scan.
    const std::vector<float> pool = Floats(path, "pt_xyz_pool"), expected = Floats(golden, "pt_xyz_pool");
    if (shape.scan().row() == 0 && !shape.source().ends_with("training_objectdataset.h5")) {
      EXPECT_TRUE(std::equal(pool.begin(), pool.begin() + 225, expected.begin()));
    }
  }
}

TEST(BuildScanCache, OpensAsTrainingData) {
  const std::string out = NewFolder("train");
  ASSERT_TRUE(BuildScanCache(GoldenConfig(out)).ok());
  const CacheManifest manifest = OrThrow(ReadManifest(out));
  for (const ShapeEntry& entry : manifest.shapes()) {
    const auto shape = OrThrow(ShapeFile::Open(ShapePath(out, entry), entry, manifest));
    const auto pools = AnswerPools(shape, {.backend = Backend::kPointcloudNoray});
    ASSERT_TRUE(pools.ok()) << pools.status();
    EXPECT_EQ(pools->xyz.rows(), 150);
    EXPECT_FALSE(pools->ray_available);
  }
}

TEST(BuildScanCache, ResumedOneSplitAfterTheOtherOrByManyThreads) {
  const std::string whole = NewFolder("whole"), resumed = NewFolder("resumed"), parts = NewFolder("parts"),
                    single = NewFolder("single");
  ASSERT_TRUE(BuildScanCache(GoldenConfig(whole)).ok());
  const auto expected = Tree(whole);

  ASSERT_TRUE(BuildScanCache(GoldenConfig(resumed)).ok());
  fs::remove(resumed + "/train/class_007/training_objectdataset_000001.npz");
  fs::remove(resumed + "/test/class_007/test_objectdataset_000001.npz");
  const auto again = BuildScanCache(GoldenConfig(resumed));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->built(), 2);
  EXPECT_EQ(again->skipped(), 4);
  EXPECT_TRUE(Tree(resumed) == expected);

  for (const char* split : {"test", "train"}) {
    BuildScanCacheConfig config = GoldenConfig(parts);
    config.set_split(split);
    const auto part = BuildScanCache(config);
    ASSERT_TRUE(part.ok()) << part.status();
  }
  EXPECT_TRUE(Tree(parts) == expected);

  BuildScanCacheConfig config = GoldenConfig(single);
  config.set_num_threads(1);
  ASSERT_TRUE(BuildScanCache(config).ok());
  EXPECT_TRUE(Tree(single) == expected);
}

TEST(BuildScanCache, DuplicateStems) {
  const std::string root = NewFolder("stems"), out = NewFolder("stems_out");
  WriteHdf5(root + "/a/train.h5", CountingHdf5(2, 20));
  WriteHdf5(root + "/b/train.h5", CountingHdf5(3, 30));
  BuildScanCacheConfig config = GoldenConfig(out);
  config.set_scan_root(root);
  const absl::Status refused = BuildScanCache(config).status();
  EXPECT_TRUE(absl::StrContains(refused.message(), "/a/train.h5, ")) << refused;
  EXPECT_TRUE(Tree(out).empty());
  config.set_allow_duplicate_stems(true);
  const auto result = BuildScanCache(config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->built(), 3);
  ASSERT_EQ(result->left_out_size(), 2);
  EXPECT_EQ(result->left_out(1).source(), root + "/b/train.h5: row 1");
  EXPECT_EQ(Floats(out + "/train/class_001/train_000001.npz", "pc_xyz").size(), 60);
  EXPECT_EQ(Floats(out + "/train/class_002/train_000002.npz", "pc_xyz").size(), 90);
}

TEST(BuildScanCache, ABadScanIsListedAndTheOthersDrawAsBefore) {
  const std::string root = NewFolder("nan"), good = NewFolder("nan_good"), bad = NewFolder("nan_bad");
  for (const bool with_nan : {false, true}) {
    Hdf5Writer writer;
    std::vector<float> values(4 * 30 * 3);
    for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
    if (with_nan) values[1 * 90 + 17 * 3 + 2] = NAN;
    writer.AddFloats("data", {4, 30, 3}, values);
    writer.AddInts("label", {4}, {0, 1, 0, 1});
    WriteHdf5(root + "/train.h5", writer.Bytes());
    BuildScanCacheConfig config = GoldenConfig(with_nan ? bad : good);
    config.set_scan_root(root);
    const auto result = BuildScanCache(config);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->failed_size(), with_nan ? 1 : 0);
    if (with_nan) {
      EXPECT_EQ(result->failed(0).reason(),
                root + "/train.h5: row 1: point 17: coordinate nan is not finite");
    }
  }
  auto expected = Tree(good);
  const auto tree = Tree(bad);
  for (const char* name : {"train/class_000/train_000000.npz", "train/class_000/train_000002.npz",
                           "train/class_001/train_000003.npz"}) {
    EXPECT_TRUE(tree.at(name) == expected.at(name)) << name;
  }
  EXPECT_FALSE(tree.contains("train/class_001/train_000001.npz"));
}

TEST(BuildScanCache, ClassNames) {
  const std::string root = NewFolder("names"), out = NewFolder("names_out");
  WriteHdf5(root + "/train.h5", CountingHdf5(3, 20));
  std::ofstream(root + "/classes.txt") << "bag\nbig box\nbin\n";
  std::ofstream(root + "/short.txt") << "bag\nbox\n";
  BuildScanCacheConfig config = GoldenConfig(out);
  config.set_scan_root(root);
  config.set_class_names(root + "/short.txt");
  EXPECT_EQ(BuildScanCache(config).status().message(),
            root + "/train.h5: label of row 2 is 2, but class_names has 2 lines");
  config.set_class_names(root + "/classes.txt");
  ASSERT_TRUE(BuildScanCache(config).ok());
  EXPECT_TRUE(FileExists(out + "/train/big box/train_000001.npz"));
}

TEST(BuildScanCache, ADamagedFileEndsTheRunByName) {
  const std::string root = NewFolder("damaged"), out = NewFolder("damaged_out");
  const std::vector<uint8_t> good = CountingHdf5(3, 20);
  WriteHdf5(root + "/a_train.h5", good);
  WriteHdf5(root + "/b_train.h5", {good.begin(), good.begin() + 700});
  BuildScanCacheConfig config = GoldenConfig(out);
  config.set_scan_root(root);
  const absl::Status status = BuildScanCache(config).status();
  EXPECT_TRUE(absl::StartsWith(status.message(), root + "/b_train.h5: ")) << status;
  EXPECT_TRUE(Tree(out).empty());
}

// Cloud i of 20 points, moved and scaled, in each of the formats.
std::string CloudRoot(absl::string_view name) {
  std::string root = NewFolder(name);
  const char* paths[] = {"train/chair/a.xyz", "train/chair/b.txt", "train/lamp/c d.pts", "test/chair/a.ply",
                         "test/lamp/\xc3\xa9.npy"};
  for (int i = 0; i < 5; ++i) {
    const fs::path path = fs::path(root) / paths[i];
    fs::create_directories(path.parent_path());
    std::vector<float> values;
    std::string rows;
    for (int j = 0; j < 20; ++j) {
      for (int k = 0; k < 3; ++k) {
        values.push_back(100 + std::sin(static_cast<float>(7 * j + 3 * k + i)));
        absl::StrAppend(&rows, absl::StrFormat("%.9g", values.back()), k < 2 ? " " : "\n");
      }
    }
    std::ofstream out(path, std::ios::binary);
    const std::string kind = path.extension();
    if (kind == ".npy") {
      out << EncodeNpy(MakeArray(values, {20, 3}));
    } else if (kind == ".ply") {
      out << "ply\nformat ascii 1.0\nelement vertex 20\nproperty float x\nproperty float y\nproperty float "
             "z\nend_header\n"
          << rows;
    } else {
      out << (kind == ".pts" ? "20\n" : "") << rows;
    }
  }
  return root;
}

TEST(BuildScanCache, PlainCloudsOfEveryFormat) {
  const std::string root = CloudRoot("clouds"), out = NewFolder("clouds_out");
  const auto result = BuildScanCache(CloudConfig(root, out));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->built(), 5);
  const CacheManifest manifest = OrThrow(ReadManifest(out));
  std::map<std::string, uint32_t> seeds;
  for (const ShapeEntry& shape : manifest.shapes()) {
    seeds[absl::StrCat(shape.split(), "/", ShapeKey(shape))] = shape.seed();
    EXPECT_EQ(shape.scan().observed_points(), 20);
    EXPECT_FALSE(shape.scan().resampled());
    const std::vector<float> points = Floats(ShapePath(out, shape), "pc_xyz");
    ASSERT_EQ(points.size(), 60);
    double mean[3] = {}, largest = 0;
    for (int j = 0; j < 20; ++j) {
      double squared = 0;
      for (int k = 0; k < 3; ++k) {
        mean[k] += points[3 * j + k] / 20;
        squared += points[3 * j + k] * points[3 * j + k];
      }
      largest = std::max(largest, std::sqrt(squared));
    }
    EXPECT_NEAR(largest, 1, 1e-6);
    for (const double m : mean) EXPECT_NEAR(m, 0, 1e-6);
  }
  EXPECT_EQ(seeds, (std::map<std::string, uint32_t>{{"train/chair/a", 0},
                                                    {"train/chair/b", 1},
                                                    {"train/lamp/c d", 2},
                                                    {"test/chair/a", 12345},
                                                    {"test/lamp/\xc3\xa9", 12346}}));
}

TEST(BuildScanCache, PlainCloudsResampled) {
  const std::string root = CloudRoot("few"), out = NewFolder("few_out"), again = NewFolder("few_again");
  BuildScanCacheConfig config = CloudConfig(root, out);
  config.set_pc_points(64);
  const auto result = BuildScanCache(config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->resampled(), 5);
  const CacheManifest manifest = OrThrow(ReadManifest(out));
  for (const ShapeEntry& shape : manifest.shapes()) {
    EXPECT_TRUE(shape.scan().resampled());
    EXPECT_EQ(Floats(ShapePath(out, shape), "pc_xyz").size(), 192);
  }
  config.set_out_root(again);
  config.set_num_threads(1);
  ASSERT_TRUE(BuildScanCache(config).ok());
  EXPECT_TRUE(Tree(out) == Tree(again));
}

TEST(BuildScanCache, ABadCloudIsListed) {
  const std::string root = CloudRoot("bad_cloud"), out = NewFolder("bad_cloud_out");
  std::ofstream(root + "/train/chair/z.xyz") << "1 2 3\n4 5 inf\n";
  std::ofstream(root + "/train/chair/empty.ply") << "";
  const auto result = BuildScanCache(CloudConfig(root, out));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->built(), 5);
  ASSERT_EQ(result->failed_size(), 2);
  EXPECT_EQ(result->failed(0).reason(), root + "/train/chair/empty.ply:1: \"ply\" expected");
  EXPECT_EQ(result->failed(1).reason(), root + "/train/chair/z.xyz:2: coordinate inf is not finite");
}

TEST(BuildScanCache, OptionsThatDoNotGoTogether) {
  BuildScanCacheConfig config = GoldenConfig(NewFolder("options"));
  config.set_cloud_root("x");
  EXPECT_TRUE(IsBadConfig(BuildScanCache(config).status()));
  config.clear_scan_root();
  config.set_class_names("x");
  EXPECT_TRUE(IsBadConfig(BuildScanCache(config).status()));
  config.clear_cloud_root();
  EXPECT_TRUE(IsBadConfig(BuildScanCache(config).status()));
  config = GoldenConfig(NewFolder("options"));
  config.set_seed(0xffffffff);
  EXPECT_TRUE(IsBadConfig(BuildScanCache(config).status()));
  config.set_seed(0);
  config.set_scan_root(NewFolder("options_empty"));
  EXPECT_TRUE(absl::IsNotFound(BuildScanCache(config).status()));
}

}  // namespace
}  // namespace manyform

#include "data/migrate.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/files.h"
#include "data/manifest.h"
#include "data/testing/golden_npz.h"
#include "data/testing/migrated_cache.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr char kAfter[] = "testdata/golden/b_shapes/migrate/after";

std::vector<NpzMember> Members(const std::string& path) { return OrThrow(NpzReader::Open(path)).members(); }

// Every array has the same bytes, dtype and shape, and none is left over.
void ExpectSameArrays(const NpzReader& a, const NpzReader& b) {
  ASSERT_EQ(a.members().size(), b.members().size());
  for (size_t i = 0; i < a.members().size(); ++i) {
    const std::string& name = a.members()[i].name;
    EXPECT_EQ(name, b.members()[i].name);
    const Array x = OrThrow(a.Read(name, true)), y = OrThrow(b.Read(name, true));
    EXPECT_EQ(x.dtype, y.dtype) << name;
    EXPECT_EQ(x.shape, y.shape) << name;
    EXPECT_EQ(x.fortran_order, y.fortran_order) << name;
    EXPECT_EQ(memcmp(x.data, y.data, x.size() * x.item_size), 0) << name;
  }
}

TEST(Migrate, CountsAndArraysAreThePublishedOnes) {
  const nlohmann::json printed = GoldenJson("b_shapes/params.json")["migrations"];
  const std::string root = CopyOf(kBefore, "golden");
  const auto expect = [&](int i, const MigrateConfig& config) {
    const MigrateResult result = OrThrow(Migrate(config));
    EXPECT_TRUE(absl::StrContains(printed[i].get<std::string>(), Counts(result))) << Counts(result);
    EXPECT_EQ(result.total(), 5);
    ASSERT_EQ(result.failed_size(), 1);
    EXPECT_EQ(result.failed(0).id(), "nokeys");
    EXPECT_TRUE(absl::StrContains(result.failed(0).reason(), "test/bad/nokeys.npz"))
        << result.failed(0).reason();
  };
  expect(0, Config("pt_dist_pc_pool", root));
  MigrateConfig points = Config("pt_fps_order", root);
  points.set_fps_k(128);
  expect(1, points);
  MigrateConfig cloud = Config("pc_fps_order", root);
  cloud.set_fps_k(64);
  expect(2, cloud);
  points.set_fps_k(64);
  expect(3, points);
  for (const char* shape : {"train/class_a/box", "train/class_a/sphere", "train/class_b/capsule",
                            "train/class_b/torus", "test/bad/nokeys"}) {
    SCOPED_TRACE(shape);
    ExpectSameArrays(Npz(root, shape), Npz(kAfter, shape));
    // What came deflated stays so.
    for (const NpzMember& member : Members(absl::StrCat(root, "/", shape, ".npz"))) {
      EXPECT_TRUE(member.compressed);
    }
  }
}

TEST(Migrate, PublishedKeyOptionsDoTheSame) {
  const std::string a = CopyOf(kBefore, "keys_a"), b = CopyOf(kBefore, "keys_b");
  OrThrow(Migrate(Config("pc_fps_order", a)));
  MigrateConfig config = Config("pt_fps_order", b);
  config.set_pt_key("pc_xyz");
  config.set_out_key("pc_fps_order");
  OrThrow(Migrate(config));
  ExpectSameArrays(Npz(a, "train/class_a/box"), Npz(b, "train/class_a/box"));
}

TEST(Migrate, ManifestFollowsAndStoredArraysStayAligned) {
  const std::string root = CopyOf(kBefore, "manifest");
  fs::remove_all(root + "/test");
  MigrateConfig repack = Config("repack", root);
  EXPECT_EQ(Counts(OrThrow(Migrate(repack))), "ok=4 skip=0 fail=0");
  const MigrateResult indexed = OrThrow(Migrate(Config("manifest", root)));
  EXPECT_EQ(Counts(indexed), "ok=4 skip=0 fail=0");
  EXPECT_EQ(EntriesThatFit(root), 4);
  const MigrateResult result = OrThrow(Migrate(Config("pt_dist_pc_pool", root)));
  EXPECT_EQ(Counts(result), "ok=3 skip=1 fail=0");
  ASSERT_EQ(result.manifests_size(), 1);
  EXPECT_EQ(result.manifests(0).path(), root + "/manifest.binpb");
  EXPECT_EQ(result.manifests(0).updated(), 3);
  EXPECT_EQ(EntriesThatFit(root), 4);
  for (const auto& file : fs::recursive_directory_iterator(root)) {
    if (file.path().extension() != ".npz") continue;
    for (const NpzMember& member : Members(file.path())) {
      EXPECT_FALSE(member.compressed);
      EXPECT_EQ(member.offset % 64, 0u) << file.path() << " " << member.name;
    }
  }
  // Nothing is left to do, to any manifest either.
  const std::string manifest = OrThrow(ReadFile(root + "/manifest.binpb"));
  EXPECT_EQ(Counts(OrThrow(Migrate(Config("pt_dist_pc_pool", root)))), "ok=0 skip=4 fail=0");
  EXPECT_EQ(OrThrow(ReadFile(root + "/manifest.binpb")), manifest);
  // Back to an archive: smaller, and the same arrays.
  const auto size = fs::file_size(root + "/train/class_b/torus.npz");
  repack.set_compress(true);
  EXPECT_EQ(Counts(OrThrow(Migrate(repack))), "ok=4 skip=0 fail=0");
  EXPECT_LT(fs::file_size(root + "/train/class_b/torus.npz"), size);
  EXPECT_EQ(EntriesThatFit(root), 4);
  EXPECT_EQ(Counts(OrThrow(Migrate(repack))), "ok=0 skip=4 fail=0");
}

TEST(Migrate, AnUninterruptedRunEqualsShardsAndThreads) {
  const auto tree = [](const std::string& root) {
    std::map<std::string, std::string> files;
    for (const auto& file : fs::recursive_directory_iterator(root)) {
      if (file.is_regular_file()) files[fs::relative(file.path(), root)] = OrThrow(ReadFile(file.path()));
    }
    return files;
  };
  const std::string whole = CopyOf(kBefore, "whole"), parts = CopyOf(kBefore, "parts");
  for (const std::string& root : {whole, parts}) fs::remove_all(root + "/test");
  MigrateConfig index = Config("manifest", whole);
  OrThrow(Migrate(index));
  OrThrow(Migrate(Config("pt_dist_pc_pool", whole)));
  for (const char* what : {"manifest", "pt_dist_pc_pool"}) {
    for (const char* shard : {"2/3", "0/3", "1/3"}) {
      MigrateConfig config = Config(what, parts);
      config.set_shard(shard);
      config.set_num_threads(1);
      OrThrow(Migrate(config));
    }
  }
  EXPECT_TRUE(tree(parts) == tree(whole));
}

TEST(Migrate, InvalidArraysAreMadeAnewAndOthersKept) {
  const std::string root = NewFolder("invalid");
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> cloud(90), pool(150);
  for (std::vector<float>* values : {&cloud, &pool}) {
    for (float& v : *values) v = normal(random);
  }
  const auto write = [&](const std::string& id, std::vector<float> distances, std::vector<int32_t> order) {
    const int64_t d = distances.size(), k = order.size();
    ASSERT_TRUE(WriteNpz(absl::StrCat(root, "/train/c/", id, ".npz"),
                         std::vector<NamedArray>{{"pc_xyz", MakeArray(cloud, {30, 3})},
                                                 {"pt_dist_pc_pool", MakeArray(std::move(distances), {d})},
                                                 {"pt_fps_order", MakeArray(std::move(order), {k})},
                                                 {"pt_xyz_pool", MakeArray(pool, {50, 3})}})
                    .ok());
  };
  const std::vector<float> right(50, 0.5f);
  std::vector<float> nan = right, negative = right;
  nan[3] = NAN;
  negative[49] = -1e-6f;
  write("a_right", right, {3, 1, 2});
  write("b_nan", nan, {3, 1, 50});
  write("c_negative", negative, {-1, 1});
  write("d_short", std::vector<float>(49, 0.5f), {3, 3});
  const MigrateResult distances = OrThrow(Migrate(Config("pt_dist_pc_pool", root)));
  EXPECT_EQ(Counts(distances), "ok=3 skip=1 fail=0");
  EXPECT_EQ(Counts(OrThrow(Migrate(Config("pt_fps_order", root)))), "ok=3 skip=1 fail=0");
  // Brute force beside the tree.
  const NpzReader npz = Npz(root, "train/c/b_nan");
  const std::vector<float> got = OrThrow(OrThrow(npz.Read("pt_dist_pc_pool")).Values<float>());
  for (int i = 0; i < 50; ++i) {
    double best = 1e300;
    for (int j = 0; j < 30; ++j) {
      double d2 = 0;
      for (int c = 0; c < 3; ++c) d2 += std::pow(double{pool[3 * i + c]} - cloud[3 * j + c], 2);
      best = std::min(best, d2);
    }
    EXPECT_NEAR(got[i], std::sqrt(best), 1e-6);
  }
  std::vector<int32_t> order = OrThrow(OrThrow(npz.Read("pt_fps_order")).Values<int32_t>());
  std::sort(order.begin(), order.end());
  std::vector<int32_t> all(50);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(order, all);
  // Overwriting remakes those that were right, too; the members keep their places.
  MigrateConfig config = Config("pt_dist_pc_pool", root);
  config.set_overwrite(true);
  EXPECT_EQ(Counts(OrThrow(Migrate(config))), "ok=4 skip=0 fail=0");
  EXPECT_EQ(Npz(root, "train/c/a_right").members()[1].name, "pt_dist_pc_pool");
}

TEST(Migrate, RepackPutsFortranArraysInCOrder) {
  const std::string root = NewFolder("fortran");
  const Array array{DType::kF32,
                    4,
                    {2, 3},
                    true,
                    reinterpret_cast<const uint8_t*>("\0\0\0\0\1\0\0\0\2\0\0\0"
                                                     "\3\0\0\0\4\0\0\0\5\0\0\0")};
  ASSERT_TRUE(WriteNpz(root + "/train/c/x.npz", std::vector<NamedArray>{{"f", array}}).ok());
  EXPECT_EQ(Counts(OrThrow(Migrate(Config("repack", root)))), "ok=1 skip=0 fail=0");
  const Array packed = OrThrow(Npz(root, "train/c/x").Read("f"));
  EXPECT_FALSE(packed.fortran_order);
  const auto* words = reinterpret_cast<const uint32_t*>(packed.data);
  EXPECT_EQ(std::vector<uint32_t>(words, words + 6), (std::vector<uint32_t>{0, 2, 4, 1, 3, 5}));
}

TEST(Migrate, IndexKeepsWhatItKnowsAndDropsWhatIsGone) {
  const std::string root = CopyOf(kBefore, "index");
  ASSERT_TRUE(WriteFileAtomically(root + "/train/class_a/torn.npz", "PK").ok());
  MigrateResult result = OrThrow(Migrate(Config("manifest", root)));
  EXPECT_EQ(Counts(result), "ok=5 skip=0 fail=1");
  CacheManifest manifest = OrThrow(ReadManifest(root));
  ASSERT_EQ(manifest.shapes_size(), 5);
  ASSERT_EQ(manifest.failed_size(), 1);
  EXPECT_EQ(manifest.failed(0).id(), "torn");
  manifest.mutable_shapes(1)->set_source("meshes/box.off");
  manifest.set_build_fingerprint("f");
  ASSERT_TRUE(WriteManifest(root, manifest).ok());
  fs::remove(root + "/train/class_a/torn.npz");
  fs::remove_all(root + "/test");
  result = OrThrow(Migrate(Config("manifest", root)));
  EXPECT_EQ(Counts(result), "ok=0 skip=4 fail=0");
  const CacheManifest again = OrThrow(ReadManifest(root));
  ASSERT_EQ(again.shapes_size(), 4);
  EXPECT_EQ(again.shapes(0).source(), "meshes/box.off");
  EXPECT_EQ(again.shapes(0).checksum(), manifest.shapes(1).checksum());
  EXPECT_EQ(again.build_fingerprint(), "f");
  // Without checksums, and damaged: both are made anew.
  ASSERT_TRUE(WriteFileAtomically(root + "/manifest.binpb", "no manifest").ok());
  MigrateConfig config = Config("manifest", root);
  config.set_checksums(false);
  EXPECT_EQ(Counts(OrThrow(Migrate(config))), "ok=4 skip=0 fail=0");
  EXPECT_FALSE(OrThrow(ReadManifest(root)).shapes(0).has_checksum());
  EXPECT_EQ(Counts(OrThrow(Migrate(Config("manifest", root)))), "ok=4 skip=0 fail=0");
  EXPECT_EQ(EntriesThatFit(root), 4);
}

TEST(Migrate, OnlyTheChosenShapes) {
  const std::string root = CopyOf(kBefore, "chosen");
  MigrateConfig config = Config("pt_dist_pc_pool", root);
  config.set_limit(2);
  MigrateResult result = OrThrow(Migrate(config));
  // test/bad/nokeys and train/class_a/box.
  EXPECT_EQ(Counts(result), "ok=1 skip=0 fail=1");
  config.clear_limit();
  config.add_splits("train");
  EXPECT_EQ(Counts(OrThrow(Migrate(config))), "ok=2 skip=2 fail=0");
  fs::rename(root + "/train", root + "/other");
  fs::remove_all(root + "/test");
  EXPECT_TRUE(IsBadConfig(Migrate(Config("pt_fps_order", root)).status()));
  config = Config("pt_fps_order", root);
  config.add_splits("all");
  EXPECT_EQ(Counts(OrThrow(Migrate(config))), "ok=4 skip=0 fail=0");
}

TEST(Migrate, OptionsThatDoNotGoTogetherAreRefused) {
  const std::string root = CopyOf(kBefore, "options");
  const auto refused = [&](const std::string& what, auto set, absl::string_view named) {
    MigrateConfig config = Config(what, root);
    set(config);
    const absl::Status status = Migrate(config).status();
    EXPECT_TRUE(IsBadConfig(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), named)) << status;
  };
  refused(
      "pt_dist_pc_pool", [](MigrateConfig& c) { c.set_fps_k(3); }, "fps_k");
  refused(
      "repack", [](MigrateConfig& c) { c.set_out_key("x"); }, "out_key");
  refused(
      "pt_fps_order", [](MigrateConfig& c) { c.set_compress(true); }, "compress");
  refused(
      "repack", [](MigrateConfig& c) { c.set_checksums(false); }, "checksums");
  refused(
      "pt_fps_order", [](MigrateConfig& c) { c.set_out_key("pt_xyz_pool"); }, "out_key");
  refused(
      "repack", [](MigrateConfig& c) { c.set_shard("3/3"); }, "shard");
  refused(
      "repack", [](MigrateConfig& c) { c.add_splits("tset"); }, "tset");
  EXPECT_EQ(Migrate(Config("repack", root + "/none")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Migrate(Config("repack", NewFolder("empty"))).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace manyform

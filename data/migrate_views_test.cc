// Migrations where several names lead to one file.
#include <filesystem>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "data/manifest.h"
#include "data/migrate.h"
#include "data/testing/migrated_cache.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

// A source, a view of it, and a view of that view which has one shape twice.
class ViewTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    source_ = CopyOf(kBefore, name + "_source");
    fs::remove_all(source_ + "/test");
    view_ = NewFolder(name + "_view");
    deep_ = NewFolder(name + "_deep");
    for (const auto& file : fs::recursive_directory_iterator(source_ + "/train")) {
      if (file.is_directory()) continue;
      const std::string shape = fs::relative(file.path(), source_ + "/train");
      Link(file.path(), absl::StrCat(view_, "/eval/", shape));
      Link(absl::StrCat(view_, "/eval/", shape), absl::StrCat(deep_, "/train/", shape));
    }
    Link(view_ + "/eval/class_a/box.npz", deep_ + "/train/again/crate.npz");
    for (const std::string& root : {source_, view_, deep_}) OrThrow(Migrate(Config("manifest", root)));
  }
  static void Link(const fs::path& to, const fs::path& at) {
    fs::create_directories(at.parent_path());
    fs::create_symlink(to.lexically_relative(at.parent_path()), at);
  }
  std::string source_, view_, deep_;
};

TEST_F(ViewTest, LinksAreFollowedOnceAndEveryManifestOnTheWayIsUpdated) {
  const MigrateResult result = OrThrow(Migrate(Config("pt_fps_order", deep_)));
  EXPECT_EQ(Counts(result), "ok=5 skip=0 fail=0");
  EXPECT_EQ(result.files(), 4);
  EXPECT_EQ(result.files_written(), 4);
  ASSERT_EQ(result.manifests_size(), 3);
  EXPECT_EQ(result.manifests(0).path(), deep_ + "/manifest.binpb");
  EXPECT_EQ(result.manifests(0).updated(), 5);
  EXPECT_EQ(result.manifests(1).updated(), 4);
  EXPECT_EQ(result.manifests(2).updated(), 4);
  EXPECT_TRUE(fs::is_symlink(deep_ + "/train/class_a/box.npz"));
  EXPECT_TRUE(fs::is_symlink(view_ + "/eval/class_a/box.npz"));
  EXPECT_FALSE(fs::is_symlink(source_ + "/train/class_a/box.npz"));
  EXPECT_TRUE(Npz(source_, "train/class_a/box").Has("pt_fps_order"));
  EXPECT_EQ(EntriesThatFit(source_), 4);
  EXPECT_EQ(EntriesThatFit(view_), 4);
  EXPECT_EQ(EntriesThatFit(deep_), 5);
}

TEST_F(ViewTest, AViewThatFellBehindSaysSoAndIsRenewed) {
  OrThrow(Migrate(Config("pt_dist_pc_pool", source_)));
  const CacheManifest stale = OrThrow(ReadManifest(view_));
  const absl::Status status =
      ShapeFile::Open(ShapePath(view_, stale.shapes(1)), stale.shapes(1), stale).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::StrContains(status.message(), "what=manifest")) << status;
  // By the same migration,
  const MigrateResult result = OrThrow(Migrate(Config("pt_dist_pc_pool", view_)));
  EXPECT_EQ(Counts(result), "ok=0 skip=4 fail=0");
  EXPECT_EQ(result.manifests(0).updated(), 3);
  EXPECT_EQ(result.manifests(1).updated(), 0);
  EXPECT_EQ(EntriesThatFit(view_), 4);
  // or by indexing it again, which looks only at what has changed.
  const MigrateResult index = OrThrow(Migrate(Config("manifest", deep_)));
  EXPECT_EQ(EntriesThatFit(deep_), 5);
  EXPECT_EQ(index.fail(), 0);
}

TEST_F(ViewTest, ContentOfTheSameSizeIsNotMissed) {
  OrThrow(Migrate(Config("pt_dist_pc_pool", source_)));
  OrThrow(Migrate(Config("pt_dist_pc_pool", view_)));
  // The same arrays with one other value, the manifest none the wiser.
  const std::string path = source_ + "/train/class_b/torus.npz";
  std::vector<NamedArray> arrays;
  const NpzReader npz = OrThrow(NpzReader::Open(path));
  for (const NpzMember& member : npz.members()) {
    arrays.push_back({member.name, OrThrow(npz.Read(member.name))});
  }
  std::vector<float> d = OrThrow(arrays[3].array.Values<float>());
  d[0] += 1;
  arrays[3].array = MakeArray(d, arrays[3].array.shape);
  for (const std::string& root : {source_, view_}) {
    // Their entries are of stored files, so that sizes do not differ.
    ASSERT_TRUE(WriteNpz(path, arrays).ok());
    OrThrow(Migrate(Config("manifest", root)));
  }
  d[0] += 1;
  arrays[3].array = MakeArray(d, arrays[3].array.shape);
  ASSERT_TRUE(WriteNpz(path, arrays).ok());
  EXPECT_EQ(EntriesThatFit(view_), 3);
  const MigrateResult result = OrThrow(Migrate(Config("pt_dist_pc_pool", view_)));
  EXPECT_EQ(result.skip(), 4);
  EXPECT_EQ(EntriesThatFit(view_), 4);
  EXPECT_EQ(EntriesThatFit(source_), 4);
}

TEST_F(ViewTest, WhatALinkLeadsNowhereIsAFailureOfItsShape) {
  fs::remove(source_ + "/train/class_a/box.npz");
  fs::create_symlink("loop.npz", view_ + "/eval/class_a/loop.npz");
  MigrateConfig config = Config("pt_dist_pc_pool", view_);
  config.set_record(view_ + "/record.json");
  const absl::Status status = MigrateOrFail(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "2 of 5 shapes")) << status;
  const std::string record = OrThrow(ReadFile(view_ + "/record.json"));
  EXPECT_TRUE(absl::StrContains(record, "class_a/box.npz"));
  EXPECT_TRUE(absl::StrContains(record, "circle"));
}

TEST(Migrate, HardLinksOfOneAnotherStaySo) {
  const std::string root = CopyOf(kBefore, "hard"), outside = NewFolder("hard_outside");
  fs::remove_all(root + "/test");
  fs::create_directories(root + "/train/class_z");
  const std::string first = root + "/train/class_a/sphere.npz", second = root + "/train/class_z/ball.npz";
  fs::create_hard_link(first, second);
  fs::create_hard_link(first, outside + "/kept.npz");
  fs::permissions(first, fs::perms::owner_read | fs::perms::owner_write);
  const MigrateResult result = OrThrow(Migrate(Config("pt_dist_pc_pool", root)));
  EXPECT_EQ(Counts(result), "ok=4 skip=1 fail=0");
  EXPECT_EQ(result.files(), 4);
  EXPECT_TRUE(fs::equivalent(first, second));
  EXPECT_EQ(fs::status(first).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_TRUE(OrThrow(NpzReader::Open(second)).Has("pt_dist_pc_pool"));
  // A name that this run does not meet keeps what it had.
  EXPECT_FALSE(OrThrow(NpzReader::Open(outside + "/kept.npz")).Has("pt_dist_pc_pool"));
}

}  // namespace
}  // namespace manyform

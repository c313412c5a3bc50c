#include "data/merge_shards.h"

#include <filesystem>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "data/collection_builder.h"
#include "data/manifest.h"
#include "data/testing/small_collection.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;

class Shards : public testing::Test {
 protected:
  Collection Small(const std::string& out, const std::string& shard = "") const {
    Collection collection = SmallCollection(out, config_);
    collection.shard = shard;
    return collection;
  }
  static void MustBuild(Collection collection) {
    const auto outcome = BuildCollection(collection);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
  }
  void BuildShards(const std::string& out, int n) const {
    for (int i = 0; i < n; ++i) MustBuild(Small(out, absl::StrCat(i, "/", n)));
  }
  static absl::StatusOr<MergeShardsResult> Merge(const std::string& out) {
    MergeShardsConfig config;
    config.set_cache_root(out);
    return MergeShards(config);
  }
  static MergeShardsResult MustMerge(const std::string& out) {
    auto result = Merge(out);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *std::move(result) : MergeShardsResult();
  }
  // Refused with all of these words, and nothing has changed.
  static void ExpectRefused(const std::string& out, const std::vector<std::string>& words) {
    const auto before = FolderContent(out);
    const auto status = Merge(out).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    for (const std::string& word : words) EXPECT_TRUE(absl::StrContains(status.message(), word)) << status;
    EXPECT_TRUE(FolderContent(out) == before);
  }
  const BuildCacheConfig config_ = SmallConfig();
};

TEST_F(Shards, AnyNumberOfThemMergesIntoTheFilesOfOneBuild) {
  const std::string whole = NewTestFolder("merge_whole");
  MustBuild(Small(whole));
  const auto expected = FolderContent(whole);
  for (const int n : {1, 2, 3, 7, 20, 23}) {
    const std::string out = NewTestFolder(absl::StrCat("merge_", n));
    // At once, as on several machines.
    std::vector<std::thread> threads;
    threads.reserve(n);
    for (int i = 0; i < n; ++i) {
      threads.emplace_back([this, out, i, n] { MustBuild(Small(out, absl::StrCat(n - 1 - i, "/", n))); });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_FALSE(FileExists(out + "/manifest.binpb"));
    EXPECT_EQ(fs::exists(out + "/_meta/build.lock"), false);
    const MergeShardsResult result = MustMerge(out);
    EXPECT_EQ(result.shards(), n);
    EXPECT_EQ(result.shapes(), 18);
    EXPECT_EQ(result.failed_size(), 2);
    EXPECT_TRUE(FolderContent(out) == expected) << n;
    EXPECT_FALSE(FileExists(out + "/_meta"));
  }
}

TEST_F(Shards, BuiltAgainAfterMergingTheyFindAllDone) {
  const std::string out = NewTestFolder("again");
  BuildShards(out, 3);
  MustMerge(out);
  const auto merged = FolderContent(out);
  const auto outcome = BuildCollection(Small(out, "1/4"));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->built, 0);
  EXPECT_EQ(outcome->skipped, 5);
  for (const char* shard : {"0/4", "2/4", "3/4"}) MustBuild(Small(out, shard));
  MustMerge(out);
  EXPECT_TRUE(FolderContent(out) == merged);
}

TEST_F(Shards, AnotherDivisionTakesOverWhatIsThere) {
  const std::string whole = NewTestFolder("division_whole"), out = NewTestFolder("division");
  MustBuild(Small(whole));
  MustBuild(Small(out, "0/3"));
  MustBuild(Small(out, "2/3"));
  ExpectRefused(out, {"2 of 3 shards are there", "missing are 1/3"});
  const auto outcome = BuildCollection(Small(out, "0/2"));
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  // Of the ten even ones, those that leave 0 or 2 when divided by three are there; the fourth fails.
  EXPECT_EQ(outcome->skipped, 7);
  MustBuild(Small(out, "1/2"));
  MustMerge(out);
  EXPECT_TRUE(FolderContent(out) == FolderContent(whole));
}

TEST_F(Shards, MissingShardsAreNamed) {
  const std::string out = NewTestFolder("missing");
  EXPECT_EQ(Merge(out + "/none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Merge(out).status().code(), absl::StatusCode::kNotFound);
  for (const char* shard : {"1/15", "7/15"}) MustBuild(Small(out, shard));
  ExpectRefused(out, {"2 of 15", "0/15, 2/15, 3/15", " and 3 more"});
}

TEST_F(Shards, MissingAndChangedFilesAreNamed) {
  const std::string out = NewTestFolder("files");
  BuildShards(out, 2);
  fs::remove(out + "/train/class 0/s3.npz");
  fs::resize_file(out + "/test/class 1/s10.npz", 17);
  ExpectRefused(out, {"files of 2 shapes", out + "/train/class 0/s3.npz (missing)",
                      out + "/test/class 1/s10.npz (17 bytes, not "});
  // Building the shards again mends them.
  BuildShards(out, 2);
  MustMerge(out);
}

TEST_F(Shards, OtherOptionsAndListsAreNamed) {
  const std::string out = NewTestFolder("unlike"), elsewhere = NewTestFolder("elsewhere");
  const std::string part = "/_meta/build_small.shard_1_of_2.binpb";
  MustBuild(Small(out, "0/2"));
  BuildCacheConfig other = config_;
  other.set_pt_pool(25);
  Collection collection = SmallCollection(elsewhere, other);
  collection.shard = "1/2";
  MustBuild(collection);
  fs::copy(elsewhere + part, out + part);
  ExpectRefused(out, {part, "pt_pool: 25", "not \"pt_pool: 24"});

  fs::remove_all(elsewhere);
  collection = Small(elsewhere, "1/2");
  collection.shapes.pop_back();
  MustBuild(collection);
  fs::copy(elsewhere + part, out + part, fs::copy_options::overwrite_existing);
  ExpectRefused(out, {part, "another list", "19 shapes", "20 of"});

  // A name that lies, and no part at all.
  fs::copy(out + "/_meta/build_small.shard_0_of_2.binpb", out + part, fs::copy_options::overwrite_existing);
  EXPECT_EQ(Merge(out).status().code(), absl::StatusCode::kDataLoss);
  for (const char* bytes : {"", "\xff\xff\xff"}) {
    ASSERT_TRUE(WriteFileAtomically(out + part, bytes).ok());
    EXPECT_EQ(Merge(out).status().code(), absl::StatusCode::kDataLoss);
  }
}

TEST_F(Shards, OneBuildOfEverythingGoesOnFromThem) {
  const std::string whole = NewTestFolder("on_whole"), out = NewTestFolder("on");
  MustBuild(Small(whole));
  MustBuild(Small(out, "0/3"));
  MustBuild(Small(out, "1/3"));
  testing::internal::CaptureStderr();
  const auto outcome = BuildCollection(Small(out));
  const std::string said = testing::internal::GetCapturedStderr();
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(outcome->skipped, 7 + 6);
  EXPECT_TRUE(absl::StrContains(said, "goes on from 13 shapes that shards have built")) << said;
  EXPECT_TRUE(FolderContent(out) == FolderContent(whole));
}

TEST_F(Shards, OtherSplitsStay) {
  const std::string whole = NewTestFolder("split_whole"), out = NewTestFolder("split");
  const auto of_split = [&](const std::string& folder, const std::string& split, const std::string& shard) {
    Collection collection = Small(folder, shard);
    std::erase_if(collection.shapes, [&](const ShapeEntry& shape) { return shape.split() != split; });
    collection.splits = {split};
    return collection;
  };
  for (const std::string& folder : {whole, out}) MustBuild(of_split(folder, "train", ""));
  MustBuild(of_split(whole, "test", ""));
  for (const char* shard : {"0/2", "1/2"}) MustBuild(of_split(out, "test", shard));
  EXPECT_EQ(MustMerge(out).shapes(), 18);
  EXPECT_TRUE(FolderContent(out) == FolderContent(whole));
}

TEST_F(Shards, NotWhileOneIsBuilt) {
  const std::string out = NewTestFolder("running");
  BuildShards(out, 2);
  fs::remove(out + "/train/class 0/s3.npz");
  Collection collection = Small(out, "1/2");
  absl::Status met;
  collection.make = [&, make = collection.make](ShapeEntry* shape) {
    if (shape->id() == "s3") met = Merge(out).status();
    return make(shape);
  };
  MustBuild(collection);
  EXPECT_EQ(met.code(), absl::StatusCode::kFailedPrecondition) << met;
  EXPECT_TRUE(absl::StrContains(met.message(), "another build")) << met;
  MustMerge(out);
}

TEST_F(Shards, NoShapeInAnyOfThem) {
  const std::string out = NewTestFolder("none");
  for (const char* shard : {"0/2", "1/2"}) {
    Collection collection = Small(out, shard);
    collection.shapes = {collection.shapes[4], collection.shapes[11]};
    MustBuild(collection);
  }
  const auto status = Merge(out).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "none of 2 shapes")) << status;
}

}  // namespace
}  // namespace manyform

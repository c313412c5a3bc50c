#include "data/collection_builder.h"

#include <atomic>
#include <filesystem>
#include <set>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/files.h"
#include "data/manifest.h"
#include "data/testing/small_collection.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

CollectionOutcome MustBuild(Collection collection) {
  auto outcome = BuildCollection(collection);
  EXPECT_TRUE(outcome.ok()) << outcome.status();
  return outcome.ok() ? *std::move(outcome) : CollectionOutcome();
}

void ExpectRefused(Collection collection, absl::string_view why) {
  const auto status = BuildCollection(collection).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), why)) << status;
}

class Build : public testing::Test {
 protected:
  Collection Small(const std::string& out, const std::string& shard = "") const {
    Collection collection = SmallCollection(out, config_);
    collection.shard = shard;
    return collection;
  }
  const BuildCacheConfig config_ = SmallConfig();
};

TEST_F(Build, ShapesFailuresNotesAndOrder) {
  const std::string out = NewTestFolder("whole");
  const CollectionOutcome outcome = MustBuild(Small(out));
  EXPECT_EQ(outcome.built, 18);
  ASSERT_EQ(outcome.failed.size(), 2u);
  EXPECT_EQ(outcome.failed[0].id(), "s4");
  EXPECT_EQ(outcome.failed[0].reason(), "meshes/4: no shape");
  EXPECT_EQ(outcome.manifest, out + "/manifest.binpb");
  const auto content = FolderContent(out);
  EXPECT_EQ(content.size(), 18u + 2);
  EXPECT_EQ(content.at("_splits/all.txt"), "twenty\n");
  const CacheManifest manifest = *ReadManifest(out);
  EXPECT_EQ(manifest.layouts_size(), 3);
  int64_t bytes = 0;
  for (const ShapeEntry& shape : manifest.shapes()) {
    EXPECT_EQ(shape.mesh().vertices(), shape.seed()) << "what make() adds to the entry";
    EXPECT_TRUE(VerifyShapeFile(ShapePath(out, shape), shape).ok());
    bytes += static_cast<int64_t>(shape.file_size());
    const auto file = ShapeFile::Open(ShapePath(out, shape), shape, manifest);
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*(*file)->Get("x")->View<float>())[0], static_cast<float>(shape.seed()));
  }
  EXPECT_EQ(outcome.cache_bytes, bytes);
}

TEST_F(Build, MalformedShardsAreBadConfigs) {
  for (const char* shard : {"1", "/", "1/", "/2", "2/2", "-1/2", "0/0", "1/2/3", "0x1/2", " 0/2", "0/2 ",
                            "00/2", "a/b", "0/-1", "0/100001", "99999999999/999999999999"}) {
    const std::string out = NewTestFolder("malformed");
    const auto status = BuildCollection(Small(out, shard)).status();
    EXPECT_TRUE(IsBadConfig(status)) << shard << " " << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "0 <= i < n")) << status;
    EXPECT_TRUE(FolderContent(out).empty()) << shard;
  }
}

TEST_F(Build, MoreThanTheDiskHoldsIsRefused) {
  const std::string out = NewTestFolder("short");
  constexpr uint64_t kTooMuch = uint64_t{1} << 55;
  const auto refused = [&](const Collection& collection) {
    const auto status = BuildCollection(collection).status();
    EXPECT_TRUE(status.ok() || absl::IsResourceExhausted(status)) << status;
    EXPECT_TRUE(status.ok() || FolderContent(out).empty());
    return !status.ok();
  };
  Collection collection = Small(out);
  collection.bytes_per_shape = kTooMuch;
  EXPECT_TRUE(refused(collection));
  collection.compress = true;
  collection.least_bytes_per_shape = kTooMuch;
  EXPECT_TRUE(refused(collection));
  // Deflated, it may fit.
  collection.least_bytes_per_shape = 1;
  EXPECT_FALSE(refused(collection));
}

TEST_F(Build, AFailureOfTheMachineEndsItAndTheNextRunGoesOn) {
  const std::string whole = NewTestFolder("machine_whole"), out = NewTestFolder("machine");
  MustBuild(Small(whole));
  for (const char* shard : {"", "1/2"}) {
    Collection broken = Small(out, shard);
    std::atomic<int> calls = 0;
    broken.num_threads = 1;
    broken.make = [&, make = broken.make](ShapeEntry* shape) -> absl::StatusOr<std::vector<NamedArray>> {
      if (++calls == 6) return absl::ResourceExhaustedError("no memory for it");
      return make(shape);
    };
    const auto status = BuildCollection(broken).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_FALSE(FileExists(out + "/manifest.binpb"));
    EXPECT_TRUE(FileExists(out + "/_meta"));
  }
  const CollectionOutcome outcome = MustBuild(Small(out));
  EXPECT_GE(outcome.skipped, 4);
  EXPECT_LT(outcome.skipped, 12);
  EXPECT_TRUE(FolderContent(out) == FolderContent(whole));
  EXPECT_FALSE(FileExists(out + "/_meta"));
}

// From within a build, another one of the same folder: as two processes would meet.
TEST_F(Build, OnlyOneAtATimeButShards) {
  const std::string out = NewTestFolder("one");
  for (const char* running : {"", "0/2"}) {
    Collection outer = Small(out, running);
    outer.num_threads = 1;
    std::vector<absl::Status> met;
    outer.make = [&, make = outer.make](ShapeEntry* shape) {
      if (met.empty()) {
        for (const char* shard : {"", "0/2", "1/2"})
          met.push_back(BuildCollection(Small(out, shard)).status());
      }
      return make(shape);
    };
    MustBuild(std::move(outer));
    const absl::StatusCode refused = absl::StatusCode::kFailedPrecondition;
    const bool of_shards = *running != '\0';
    EXPECT_EQ(met[0].code(), refused) << met[0];
    EXPECT_EQ(met[1].code(), refused) << met[1];
    EXPECT_EQ(met[2].code(), of_shards ? absl::StatusCode::kOk : refused) << met[2];
    EXPECT_TRUE(absl::StrContains(met[0].message(), out)) << met[0];
    EXPECT_TRUE(absl::StrContains(met[0].message(), "another build")) << met[0];
    std::filesystem::remove_all(out);
  }
}

// Whoever comes when another one ends and cleans up: nobody works on files that are gone.
TEST_F(Build, ManyAtOnceEndWithTheSameFiles) {
  const std::string whole = NewTestFolder("many_whole"), out = NewTestFolder("many");
  MustBuild(Small(whole));
  std::atomic<int> built = 0;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 10; ++round) {
        const auto outcome = BuildCollection(Small(out));
        if (outcome.ok()) {
          built += static_cast<int>(outcome->built);
        } else {
          EXPECT_TRUE(absl::StrContains(outcome.status().message(), "another build")) << outcome.status();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(built, 18);
  EXPECT_TRUE(FolderContent(out) == FolderContent(whole));
  EXPECT_FALSE(FileExists(out + "/_meta"));
}

TEST_F(Build, ShardsOfOtherOptionsOrListsAreRefused) {
  const std::string out = NewTestFolder("others");
  MustBuild(Small(out, "0/2"));
  BuildCacheConfig other = config_;
  other.set_pt_pool(25);
  for (const char* shard : {"", "1/2"}) {
    Collection collection = SmallCollection(out, other);
    collection.shard = shard;
    ExpectRefused(std::move(collection), "pt_pool=24, not 25");
    collection = Small(out, shard);
    for (ShapeEntry& shape : collection.shapes) shape.set_seed(shape.seed() + 1);
    ExpectRefused(std::move(collection), "with seed 100, not 101");
    collection = Small(out, shard);
    collection.shapes.erase(collection.shapes.begin() + 2);
    ExpectRefused(std::move(collection), "meshes/2 is no longer in the list");
  }
  // Another program's folder, in which it is in the midst of its work.
  Collection foreign = Small(out);
  foreign.program = "build_other";
  ExpectRefused(std::move(foreign), "without a manifest");
}

TEST_F(Build, OverwritingInShardsLeavesNothingOld) {
  const std::string whole = NewTestFolder("over_whole"), out = NewTestFolder("over");
  BuildCacheConfig old = config_;
  old.set_pt_pool(25);
  MustBuild(SmallCollection(out, old));
  Collection part = SmallCollection(out, old);
  part.shard = "3/4";
  MustBuild(part);
  MustBuild(Small(whole));
  for (const char* shard : {"1/2", "0/2"}) {
    Collection collection = Small(out, shard);
    collection.overwrite = true;
    const CollectionOutcome outcome = MustBuild(std::move(collection));
    EXPECT_EQ(outcome.skipped, 0);
    EXPECT_FALSE(FileExists(out + "/manifest.binpb")) << "it vouched for what is replaced";
  }
  EXPECT_FALSE(FileExists(out + "/_meta/build_small.shard_3_of_4.binpb"));
  EXPECT_EQ(MustBuild(Small(out)).skipped, 18);
  EXPECT_TRUE(FolderContent(out) == FolderContent(whole));
}

TEST_F(Build, TemporariesOfKilledShardsGoThoseOfOthersStay) {
  const std::string out = NewTestFolder("temporaries");
  // Shape 2 is shard 0's, shape 5 shard 1's; the numbers may be those of processes of other machines.
  const std::string mine = out + "/train/class 2/.s2.npz.tmp.1.0";
  const std::string others = out + "/test/class 2/.s5.npz.tmp.1.0";
  ASSERT_TRUE(WriteFileAtomically(mine, "half").ok());
  ASSERT_TRUE(WriteFileAtomically(others, "half").ok());
  MustBuild(Small(out, "0/2"));
  EXPECT_FALSE(FileExists(mine));
  EXPECT_TRUE(FileExists(others));
}

TEST_F(Build, EveryShapeFailing) {
  const std::string out = NewTestFolder("none");
  Collection collection = Small(out);
  collection.shapes = {collection.shapes[4], collection.shapes[11]};
  const auto status = BuildCollection(collection).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "none of 2 shapes")) << status;
  collection.shard = "1/2";
  EXPECT_EQ(MustBuild(collection).failed.size(), 1u) << "others may have better ones";
}

}  // namespace
}  // namespace manyform

#include "data/split_unpaired.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "data/manifest.h"
#include "data/split_manifest_io.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Json = nlohmann::json;

class UnpairedTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = absl::StrCat(testing::TempDir(), "/unpaired_",
                         testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(root_);
    config_.set_cache_root(root_);
    config_.set_output(root_ + ".json");
  }
  // The golden tree: files that hold nothing, since a split reads names alone.
  void MakeGoldenTree() const {
    const Json tree = GoldenJson("d_splits/unpaired.json")["tree"];
    for (const auto& [split, classes] : tree.items()) {
      for (const auto& [name, ids] : classes.items()) {
        for (const std::string id : ids) Put(absl::StrCat(split, "/", name, "/", id, ".npz"));
      }
    }
  }
  void Put(const std::string& path) const {
    ASSERT_TRUE(WriteFileAtomically(JoinPath(root_, path), "").ok());
  }
  std::string root_;
  SplitUnpairedConfig config_;
};

TEST_F(UnpairedTest, SplitsAreThePublishedOnesByteForByte) {
  MakeGoldenTree();
  const Json golden = GoldenJson("d_splits/unpaired.json")["cases"];
  for (const Json& c : golden) {
    config_.set_seed(c["seed"].get<int64_t>());
    config_.clear_ratios();
    for (const double ratio : c["ratios"]) config_.add_ratios(ratio);
    const SplitUnpairedResult result = OrThrow(SplitUnpaired(config_));
    // Only the root's name differs: the published run's is a placeholder.
    SplitManifest manifest = OrThrow(ReadSplitManifest(config_.output()));
    EXPECT_EQ(manifest.meta().cache_root(), root_);
    manifest.mutable_meta()->set_cache_root("<d_splits>/utree");
    EXPECT_EQ(OrThrow(FormatSplitJson(manifest)),
              OrThrow(ReadFile(absl::StrCat("testdata/golden/d_splits/", c["json"].get<std::string>()))));
    EXPECT_EQ(result.counts_size(), 4);
  }
}

TEST_F(UnpairedTest, AManifestSaysTheSameAsTheFolders) {
  MakeGoldenTree();
  const std::string folders = (OrThrow(SplitUnpaired(config_)), OrThrow(ReadFile(config_.output())));
  CacheManifest manifest;
  manifest.set_version(1);
  manifest.add_layouts();
  for (const char* split : {"train", "test"}) {
    const std::vector<std::string> paths = OrThrow(Glob(root_, absl::StrCat(split, "/*/*.npz")));
    for (const std::string& path : paths) {
      const std::filesystem::path p(path);
      ShapeEntry* entry = manifest.add_shapes();
      entry->set_split(split);
      entry->set_class_name(p.parent_path().filename());
      entry->set_id(p.stem());
      entry->set_layout(0);
    }
  }
  ASSERT_TRUE(WriteManifest(root_, manifest).ok());
  // Then the folders are not asked.
  std::filesystem::remove_all(root_ + "/train");
  OrThrow(SplitUnpaired(config_));
  EXPECT_EQ(OrThrow(ReadFile(config_.output())), folders);
}

TEST_F(UnpairedTest, RecordsAreSortedAsPaths) {
  for (const char* key : {"a/x", "a/x-1", "a-b/x"}) Put(absl::StrCat("train/", key, ".npz"));
  Put("test/a/x.npz");
  OrThrow(SplitUnpaired(config_));
  std::vector<std::string> keys;
  const SplitManifest manifest = OrThrow(ReadSplitManifest(config_.output()));
  for (const SplitRecord& record : manifest.records()) keys.push_back(record.key());
  EXPECT_EQ(keys, (std::vector<std::string>{"a-b/x", "a/x-1", "a/x", "a/x"}));
}

TEST_F(UnpairedTest, WhatCannotBeSplitIsAnError) {
  const auto expect = [this](absl::StatusCode code, const std::string& what) {
    const absl::Status status = SplitUnpaired(config_).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), what)) << status;
    EXPECT_FALSE(FileExists(config_.output()));
  };
  expect(absl::StatusCode::kNotFound, root_);
  Put("train/a/x.npz");
  expect(absl::StatusCode::kNotFound, "test");
  Put("test/a/x.npz");
  ASSERT_TRUE(MakeDirectories(root_ + "/train/hollow").ok());
  expect(absl::StatusCode::kFailedPrecondition, "train/hollow");
  std::filesystem::remove(root_ + "/train/hollow");
  config_.set_eval_split("train");
  expect(absl::StatusCode::kInvalidArgument, "train");
  config_.clear_eval_split();
  for (const std::vector<double>& ratios :
       {std::vector<double>{1, 1}, {0, 0, 0}, {1, -1, 1}, {1, 1, INFINITY}}) {
    config_.mutable_ratios()->Assign(ratios.begin(), ratios.end());
    expect(absl::StatusCode::kInvalidArgument, "ratios");
  }
}

TEST(UnpairedCounts, RoundsHalfToEvenAndFillsEmptyShares) {
  using Counts = std::array<int64_t, 3>;
  EXPECT_EQ(UnpairedCounts(5, {0.5, 0.5, 0}), (Counts{2, 2, 1}));
  EXPECT_EQ(UnpairedCounts(7, {0.5, 0.5, 0}), (Counts{3, 3, 1}));
  EXPECT_EQ(UnpairedCounts(3, {1, 0, 0}), (Counts{1, 1, 1}));
  EXPECT_EQ(UnpairedCounts(3, {0, 0, 1}), (Counts{1, 1, 1}));
  EXPECT_EQ(UnpairedCounts(2, {1, 0, 0}), (Counts{2, 0, 0}));
  EXPECT_EQ(UnpairedCounts(1, {0.34, 0.33, 0.33}), (Counts{0, 0, 1}));
  EXPECT_EQ(UnpairedCounts(0, {0.34, 0.33, 0.33}), (Counts{0, 0, 0}));
}

TEST(UnpairedCounts, SharesAreNeverEmptyAndNothingIsLost) {
  for (int64_t n = 3; n < 200; ++n) {
    for (int a = 0; a <= 20; ++a) {
      for (int b = 0; a + b <= 20; ++b) {
        const double mesh = 0.05 * a, pc = 0.05 * b;
        const std::array<int64_t, 3> counts = UnpairedCounts(n, {mesh, pc, 1 - mesh - pc});
        EXPECT_EQ(counts[0] + counts[1] + counts[2], n);
        EXPECT_GE(*std::min_element(counts.begin(), counts.end()), 1);
      }
    }
  }
}

}  // namespace
}  // namespace manyform

#include "data/split_fewshot.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/result_writer.h"
#include "data/manifest.h"
#include "data/materialize.h"
#include "data/split_manifest_io.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Json = nlohmann::json;
using Paths = std::vector<std::string>;

std::vector<LabelledPath> Labelled(const Paths& paths) {
  std::vector<LabelledPath> shapes;
  for (const std::string& path : paths) {
    const std::vector<std::string> parts = absl::StrSplit(path, '/');
    shapes.push_back({parts[parts.size() - 2], path});
  }
  return shapes;
}

template <class Shapes>
Paths PathsOf(const Shapes& shapes) {
  Paths paths;
  for (const LabelledShape& shape : shapes) paths.push_back(shape.path());
  return paths;
}

Paths Lines(const std::string& path) {
  return absl::StrSplit(OrThrow(ReadFile(path)), '\n', absl::SkipEmpty());
}

TEST(MakeFewshotSplit, EveryPublishedCase) {
  const Json golden = GoldenJson("d_splits/finetune_splits.json");
  const std::vector<LabelledPath> shapes = Labelled(golden["paths"]);
  SplitFewshotConfig config;
  for (const Json& c : golden["val"]) {
    config.set_val_ratio(c["val_ratio"]);
    config.set_val_seed(c["val_seed"].get<int64_t>());
    const FewshotSplit split = OrThrow(MakeFewshotSplit(config, shapes, {}));
    EXPECT_EQ(PathsOf(split.val()), c["val"].get<Paths>());
    EXPECT_EQ(split.train_size(), c["n_train"].get<int>());
    for (int i = 0; i < split.classes_size(); ++i) EXPECT_EQ(golden["label_map"][split.classes(i)], i);
    for (const LabelledShape& shape : split.train()) {
      EXPECT_TRUE(absl::StrContains(shape.path(), absl::StrCat("/", split.classes(shape.label()), "/")));
    }
  }
  for (const Json& c : golden["kshot"]) {
    config.set_val_ratio(c["val_ratio"]);
    config.set_val_seed(c["val_seed"].get<int64_t>());
    config.set_fewshot_k(c["k"].get<int64_t>());
    config.set_fewshot_seed(c["fewshot_seed"].get<int64_t>());
    EXPECT_EQ(PathsOf(OrThrow(MakeFewshotSplit(config, shapes, {})).train()), c["train"].get<Paths>());
  }
}

TEST(MakeFewshotSplit, ClassPicksLeaveTheOthersOut) {
  const Json golden = GoldenJson("d_splits/finetune_splits.json");
  const std::vector<LabelledPath> shapes = Labelled(golden["paths"]);
  for (const Json& c : golden["nway"]) {
    SplitFewshotConfig config;
    config.set_fewshot_n_way(c["n_way"].get<int64_t>());
    config.set_fewshot_way_seed(c["seed"].get<int64_t>());
    const FewshotSplit split = OrThrow(MakeFewshotSplit(config, shapes, shapes));
    EXPECT_EQ(Paths(split.classes().begin(), split.classes().end()), c["picked"].get<Paths>());
    EXPECT_EQ(split.train_size() + split.val_size(), c["n_paths"].get<int>());
    EXPECT_EQ(split.test_size(), c["n_paths"].get<int>());
    // Without a seed of its own it takes the K-shot pick's.
    config.clear_fewshot_way_seed();
    config.set_fewshot_seed(c["seed"].get<int64_t>());
    const FewshotSplit again = OrThrow(MakeFewshotSplit(config, shapes, shapes));
    EXPECT_EQ(Paths(again.classes().begin(), again.classes().end()), c["picked"].get<Paths>());
  }
}

class SplitFewshotTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = absl::StrCat(testing::TempDir(), "/fewshot_",
                         testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(root_);
    config_.set_cache_root(root_ + "/c");
    config_.set_output(root_ + "/lists");
    const std::vector<NamedArray> arrays = {{"x", MakeArray<float>({1}, {1})}};
    const Json golden = GoldenJson("d_splits/finetune_splits.json");
    for (const std::string path : golden["paths"]) {
      ASSERT_TRUE(WriteNpz(JoinPath(root_, path), arrays).ok());
    }
    for (const char* name : {"chair", "vase"}) {
      ASSERT_TRUE(WriteNpz(absl::StrCat(root_, "/c/test/", name, "/t.npz"), arrays).ok());
    }
  }
  std::string root_;
  SplitFewshotConfig config_;
};

TEST_F(SplitFewshotTest, ListsAreThePublishedOnesAndMaterialize) {
  const Json c = GoldenJson("d_splits/finetune_splits.json")["kshot"][3];
  config_.set_val_ratio(c["val_ratio"]);
  config_.set_val_seed(c["val_seed"].get<int64_t>());
  config_.set_fewshot_k(c["k"].get<int64_t>());
  config_.set_fewshot_seed(c["fewshot_seed"].get<int64_t>());
  const SplitFewshotResult result = OrThrow(SplitFewshot(config_));
  Paths expected = c["train"];
  for (std::string& path : expected) path = JoinPath(root_, path);
  EXPECT_EQ(Lines(root_ + "/lists/train.txt"), expected);
  EXPECT_EQ(Lines(root_ + "/lists/classes.txt"), Paths(result.classes().begin(), result.classes().end()));
  FewshotSplit split;
  ASSERT_TRUE(ReadResult(root_ + "/lists/labels.json", &split).ok());
  EXPECT_EQ(PathsOf(split.train()), expected);
  EXPECT_EQ(PathsOf(split.val()), Lines(root_ + "/lists/val.txt"));
  EXPECT_EQ(PathsOf(split.test()), Lines(root_ + "/lists/test.txt"));
  // A manifest says the same as the folders did.
  const std::string json = OrThrow(ReadFile(root_ + "/lists/split.json"));
  ASSERT_TRUE(WriteManifest(root_ + "/c", OrThrow(IndexCache(root_ + "/c", 1, true))).ok());
  OrThrow(SplitFewshot(config_));
  EXPECT_EQ(OrThrow(ReadFile(root_ + "/lists/split.json")), json);

  MaterializeConfig view;
  view.set_src_cache_root(config_.cache_root());
  view.set_split_json(root_ + "/lists/split.json");
  view.set_out_root(root_ + "/view");
  for (const char* name : {"train", "val", "test"}) view.add_splits(name);
  EXPECT_EQ(OrThrow(Materialize(view)).missing(), 0);
  Paths keys;
  const CacheManifest manifest = OrThrow(ReadManifest(root_ + "/view"));
  for (const ShapeEntry& entry : manifest.shapes()) {
    if (entry.split() == "train") keys.push_back(absl::StrCat(root_, "/c/", entry.source()));
  }
  EXPECT_EQ(keys, expected);
}

TEST_F(SplitFewshotTest, WhatCannotBePickedIsAnError) {
  const auto expect = [&](absl::StatusCode code, absl::string_view what) {
    const absl::Status status = SplitFewshot(config_).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), what)) << status;
    EXPECT_FALSE(FileExists(config_.output()));
  };
  config_.set_fewshot_n_way(99);
  expect(absl::StatusCode::kInvalidArgument, "n_way is 99");
  config_.clear_fewshot_n_way();
  config_.set_val_ratio(1);
  expect(absl::StatusCode::kInvalidArgument, "nothing is left");
  config_.clear_val_ratio();
  config_.set_test_split("none");
  expect(absl::StatusCode::kNotFound, "none");
  config_.clear_test_split();
  std::filesystem::rename(root_ + "/c/test/vase", root_ + "/c/test/unseen");
  expect(absl::StatusCode::kInvalidArgument, "unseen");
  // Without a test split there is nothing to miss.
  config_.set_test_split("");
  EXPECT_EQ(OrThrow(SplitFewshot(config_)).counts(2).shapes(), 0);
}

}  // namespace
}  // namespace manyform

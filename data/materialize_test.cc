#include "data/materialize.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/hash.h"
#include "data/manifest.h"
#include "data/split_manifest_io.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class MaterializeTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = absl::StrCat(testing::TempDir(), "/materialize_",
                         testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(root_);
    config_.set_src_cache_root(Path("utree"));
    config_.set_split_json(Path("split.json"));
    config_.set_out_root(Path("view"));
  }
  std::string Path(const std::string& name) const { return JoinPath(root_, name); }
  void Put(const std::string& name, const std::string& text) const {
    ASSERT_TRUE(WriteFileAtomically(Path(name), text).ok());
  }
  // A cache of real shapes, two of them in train/a, one in test/a; its split gives each its own place.
  void MakeCache() {
    SplitManifest split;
    const auto add = [&](const char* key, const char* to, const char* from) {
      const std::vector<NamedArray> arrays = {{"x", MakeArray<float>({1, 2, 3}, {3})}};
      ASSERT_TRUE(WriteNpz(absl::StrCat(Path("utree"), "/", from, "/", key, ".npz"), arrays).ok());
      SplitRecord* record = split.add_records();
      record->set_key(key);
      record->set_split(to);
      record->set_src_split(from);
      record->set_src_relpath(absl::StrCat(from, "/", key, ".npz"));
    };
    add("a/1", "train_mesh", "train");
    add("a/2", "train_pc", "train");
    add("a/3", "eval", "test");
    ASSERT_TRUE(WriteSplitManifest(config_.split_json(), split).ok());
  }
  // (split/key, layout's arrays, checksum) of the view's manifest.
  std::vector<std::string> Entries() const {
    const CacheManifest manifest = OrThrow(ReadManifest(config_.out_root()));
    std::vector<std::string> entries;
    for (const ShapeEntry& e : manifest.shapes()) {
      entries.push_back(absl::StrCat(e.split(), "/", ShapeKey(e), " ", e.source(), " ",
                                     manifest.layouts(e.layout()).arrays(0).name(), " ",
                                     e.checksum() != 0 ? "sum" : "-"));
    }
    return entries;
  }
  std::string root_;
  MaterializeConfig config_;
};

// The published tree: text files that hold their ids, known to a manifest that says no more than their size.
void MakeGoldenTree(const std::string& root, const std::string& missing) {
  const Json tree = GoldenJson("d_splits/unpaired.json")["tree"];
  CacheManifest manifest;
  manifest.set_version(1);
  manifest.add_layouts();
  for (const auto& [split, classes] : tree.items()) {
    for (const auto& [name, ids] : classes.items()) {
      for (const std::string id : ids) {
        const std::string relative = absl::StrCat(split, "/", name, "/", id, ".npz");
        ShapeEntry* entry = manifest.add_shapes();
        entry->set_split(split);
        entry->set_class_name(name);
        entry->set_id(id);
        entry->set_layout(0);
        entry->set_file_size(id.size());
        if (relative == missing) continue;
        ASSERT_TRUE(WriteFileAtomically(JoinPath(root, relative), id).ok());
      }
    }
  }
  ASSERT_TRUE(WriteManifest(root, manifest).ok());
}

// What the published listing hashes: lines "path content".
std::string ListingHash(const std::string& root, const Json& listing) {
  std::vector<std::string> lines;
  for (const std::string path : listing) {
    lines.push_back(absl::StrCat(path, " ", OrThrow(ReadFile(JoinPath(root, path)))));
  }
  return Sha256Hex(absl::StrJoin(lines, "\n"));
}

TEST_F(MaterializeTest, ViewsAreThePublishedOnes) {
  const Json golden = GoldenJson("d_splits/unpaired.json")["view"];
  MakeGoldenTree(Path("utree"), golden["missing_source"]);
  Put(golden["preexisting"], golden["preexisting_content"]);
  config_.set_split_json("testdata/golden/d_splits/unpaired_0.json");
  const auto run = [&](const Json& expected) {
    const MaterializeResult result = OrThrow(Materialize(config_));
    EXPECT_EQ(result.linked(), expected["meta"]["created"]);
    EXPECT_EQ(result.kept(), expected["meta"]["skipped"]);
    EXPECT_EQ(result.missing(), expected["meta"]["missing"]);
    Json meta = Json::parse(OrThrow(ReadFile(Path("view/_meta/split_source.json"))));
    EXPECT_EQ(meta["src_cache_root"], config_.src_cache_root());
    meta["src_cache_root"] = expected["meta"]["src_cache_root"];
    meta["split_json"] = expected["meta"]["split_json"];
    EXPECT_EQ(meta, expected["meta"]);
    std::vector<std::string> paths = OrThrow(Glob(Path("view"), "*/*/*.npz"));
    for (std::string& path : paths) path = path.substr(root_.size() + 1);
    EXPECT_EQ(paths, expected["listing"].get<std::vector<std::string>>());
    EXPECT_EQ(ListingHash(root_, expected["listing"]), expected["sha256_listing"]);
  };
  config_.set_link_mode("copy");
  run(golden["runs"][0]);
  config_.set_link_mode("symlink");
  run(golden["runs"][1]);
  // What was there before is no shape, and the manifest says so.
  EXPECT_EQ(OrThrow(ReadManifest(Path("view"))).shapes_size(), 90);
  EXPECT_EQ(OrThrow(ReadManifest(Path("view"))).failed_size(), 1);
  config_.set_link_mode("hardlink");
  config_.set_overwrite(true);
  config_.add_splits("train_pc");
  config_.add_splits("eval");
  run(golden["runs"][2]);
  EXPECT_EQ(OrThrow(ReadManifest(Path("view"))).shapes_size(), 91);
  EXPECT_EQ(OrThrow(ReadManifest(Path("view"))).failed_size(), 0);
}

TEST_F(MaterializeTest, TheManifestIsTheSourcesUnderNewNames) {
  MakeCache();
  CacheManifest source = OrThrow(IndexCache(Path("utree"), 1, /*checksums=*/true));
  source.set_build_fingerprint("f");
  ASSERT_TRUE(WriteManifest(Path("utree"), source).ok());
  for (const char* mode : {"symlink", "hardlink", "copy"}) {
    fs::remove_all(Path("view"));
    config_.set_link_mode(mode);
    const MaterializeResult result = OrThrow(Materialize(config_));
    EXPECT_EQ(result.linked(), 3);
    EXPECT_EQ(Entries(),
              (std::vector<std::string>{"eval/a/3 test/a/3.npz x sum", "train_mesh/a/1 train/a/1.npz x sum",
                                        "train_pc/a/2 train/a/2.npz x sum"}));
    const CacheManifest view = OrThrow(ReadManifest(Path("view")));
    EXPECT_EQ(view.build_fingerprint(), "f");
    for (const ShapeEntry& entry : view.shapes()) {
      const std::string path = ShapePath(Path("view"), entry);
      const Array x = OrThrow(OrThrow(ShapeFile::Open(path, entry, view))->Get("x"));
      EXPECT_EQ(OrThrow(x.Values<float>()), (std::vector<float>{1, 2, 3}));
    }
    // Again: all is there, and nothing changes.
    const std::string bytes = OrThrow(ReadFile(Path("view/manifest.binpb")));
    EXPECT_EQ(OrThrow(Materialize(config_)).kept(), 3);
    EXPECT_EQ(OrThrow(ReadFile(Path("view/manifest.binpb"))), bytes);
  }
}

TEST_F(MaterializeTest, WithoutAManifestShapesAreOpened) {
  MakeCache();
  OrThrow(Materialize(config_));
  EXPECT_EQ(Entries(),
            (std::vector<std::string>{"eval/a/3 test/a/3.npz x -", "train_mesh/a/1 train/a/1.npz x -",
                                      "train_pc/a/2 train/a/2.npz x -"}));
}

TEST_F(MaterializeTest, SplitsCanBeMadeOneByOne) {
  MakeCache();
  OrThrow(Materialize(config_));
  const std::string whole = OrThrow(ReadFile(Path("view/manifest.binpb")));
  fs::remove_all(Path("view"));
  for (const char* split : {"eval", "train_pc", "train_mesh"}) {
    config_.clear_splits();
    config_.add_splits(split);
    EXPECT_EQ(OrThrow(Materialize(config_)).linked(), 1);
  }
  EXPECT_EQ(OrThrow(ReadFile(Path("view/manifest.binpb"))), whole);
}

TEST_F(MaterializeTest, AnInterruptedRunIsFinishedByTheNext) {
  MakeCache();
  OrThrow(Materialize(config_));
  const std::string whole = OrThrow(ReadFile(Path("view/manifest.binpb")));
  fs::remove(Path("view/manifest.binpb"));
  fs::remove(Path("view/eval/a/3.npz"));
  // A link whose source was elsewhere then.
  fs::remove(Path("view/train_pc/a/2.npz"));
  fs::create_symlink("nowhere", Path("view/train_pc/a/2.npz"));
  const MaterializeResult result = OrThrow(Materialize(config_));
  EXPECT_EQ(result.linked(), 2);
  EXPECT_EQ(result.kept(), 1);
  EXPECT_EQ(OrThrow(ReadFile(Path("view/manifest.binpb"))), whole);
}

TEST_F(MaterializeTest, WhatCannotBeMadeIsAnError) {
  const auto expect = [this](absl::StatusCode code, const std::string& what) {
    const absl::Status status = Materialize(config_).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), what)) << status;
  };
  expect(absl::StatusCode::kNotFound, "split.json");
  MakeCache();
  config_.add_splits("train_udf");
  expect(absl::StatusCode::kInvalidArgument, "it has eval, train_mesh, train_pc");
  config_.clear_splits();
  config_.set_link_mode("move");
  expect(absl::StatusCode::kInvalidArgument, "link_mode");
  config_.clear_link_mode();
  config_.set_src_cache_root(Path("nowhere"));
  expect(absl::StatusCode::kNotFound, "src_cache_root");
  ASSERT_TRUE(MakeDirectories(Path("nowhere")).ok());
  expect(absl::StatusCode::kNotFound, "none of the 3 source files");
  config_.set_src_cache_root(Path("utree"));
  config_.set_out_root(Path("utree/../utree"));
  expect(absl::StatusCode::kInvalidArgument, "the source itself");
  EXPECT_FALSE(FileExists(Path("view")));
}

// A view whose folder leads into the source must not replace the source's files by links to themselves.
TEST_F(MaterializeTest, TheSourceIsNeverOverwritten) {
  MakeCache();
  SplitManifest split = OrThrow(ReadSplitManifest(config_.split_json()));
  for (SplitRecord& record : *split.mutable_records()) record.set_split("train");
  ASSERT_TRUE(WriteSplitManifest(config_.split_json(), split).ok());
  ASSERT_TRUE(MakeDirectories(Path("view")).ok());
  fs::create_directory_symlink(Path("utree/train"), Path("view/train"));
  config_.set_overwrite(true);
  config_.add_splits("train");
  EXPECT_EQ(Materialize(config_).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(Path("utree/train/a/1.npz"))));
}

}  // namespace
}  // namespace manyform

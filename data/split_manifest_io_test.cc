#include "data/split_manifest_io.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

std::string GoldenText(int i) {
  return OrThrow(ReadFile(absl::StrCat("testdata/golden/d_splits/unpaired_", i, ".json")));
}

TEST(SplitManifest, PublishedFilesAreWrittenAsTheyWereRead) {
  for (int i = 0; i < 4; ++i) {
    const SplitManifest manifest = OrThrow(ParseSplitJson(GoldenText(i), "golden"));
    EXPECT_EQ(manifest.records_size(), 92);
    EXPECT_EQ(OrThrow(FormatSplitJson(manifest)), GoldenText(i));
    for (const char* ending : {".json", ".textproto", ".binpb"}) {
      const std::string path = absl::StrCat(testing::TempDir(), "/split", ending);
      ASSERT_TRUE(WriteSplitManifest(path, manifest).ok());
      EXPECT_EQ(OrThrow(ReadSplitManifest(path)).SerializeAsString(), manifest.SerializeAsString());
    }
  }
}

// As Python's json writes them.
TEST(SplitManifest, OtherAlphabetsAndEmptyListsAreWrittenAsPublished) {
  SplitManifest manifest;
  manifest.mutable_meta()->set_cache_root("Möbel \"a\"\\\t/\x7f\U0001F600");
  EXPECT_EQ(OrThrow(FormatSplitJson(manifest)),
            "{\n  \"meta\": {\n    \"cache_root\": \"M\\u00f6bel \\\"a\\\"\\\\\\t/\\u007f\\ud83d\\ude00\",\n"
            "    \"train_split\": \"\",\n    \"eval_split\": \"\",\n    \"seed\": 0,\n"
            "    \"ratios_mesh_pc_udf\": [],\n    \"counts\": {}\n  },\n  \"records\": []\n}");
  manifest.mutable_meta()->set_cache_root("\xff");
  EXPECT_EQ(FormatSplitJson(manifest).status().code(), absl::StatusCode::kInvalidArgument);
}

std::string RecordJson(const std::string& key, const std::string& split, const std::string& path) {
  return absl::StrCat(R"({"records": [{"key": ")", key, R"(", "split": ")", split,
                      R"(", "src_split": "train", "src_relpath": ")", path, "\"}]}");
}

TEST(SplitManifest, OnlyRecordsAreNeeded) {
  EXPECT_EQ(OrThrow(ParseSplitJson(RecordJson("c/i", "eval", "train/c/i.npz"), "x")).records(0).key(), "c/i");
}

TEST(SplitManifest, PathsCannotLeaveTheirFolders) {
  for (const char* key : {"../i", "c/..", "c", "c/d/i", "/c/i", "c//i", "", "./i", "c/a\\u0000b"}) {
    EXPECT_FALSE(ParseSplitJson(RecordJson(key, "eval", "train/c/i.npz"), "x").ok()) << key;
  }
  for (const char* split : {"", "..", "a/b", "."}) {
    EXPECT_FALSE(ParseSplitJson(RecordJson("c/i", split, "train/c/i.npz"), "x").ok()) << split;
  }
  for (const char* path : {"", "/etc/passwd", "train/../../x", "train//x"}) {
    EXPECT_FALSE(ParseSplitJson(RecordJson("c/i", "eval", path), "x").ok()) << path;
  }
}

TEST(SplitManifest, MistakesAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "x.json"},
      {"[]", "object"},
      {"{}", "records"},
      {R"({"records": {}})", "records"},
      {R"({"records": [1]})", "records[0]"},
      {R"({"records": [{"key": "c/i"}]})", "records[0].split is missing"},
      {R"({"records": [{"key": 3}]})", "records[0].key"},
      {R"({"records": [], "meta": []})", "meta"},
      {R"({"records": [], "meta": {"seed": "1"}})", "meta.seed"},
      {R"({"records": [], "meta": {"seed": 9223372036854775808}})", "meta.seed"},
      {R"({"records": [], "meta": {"ratios_mesh_pc_udf": ["a"]}})", "ratios_mesh_pc_udf"},
      {R"({"records": [], "meta": {"counts": {"eval": 1.5}}})", "meta.counts.eval"},
  };
  for (const auto& [text, what] : cases) {
    const absl::Status status = ParseSplitJson(text, "x.json").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_TRUE(absl::StartsWith(status.message(), "x.json")) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), what)) << status;
  }
  std::string twice = RecordJson("c/i", "eval", "train/c/i.npz");
  const std::string record = twice.substr(13, twice.size() - 15);
  twice = absl::StrCat(R"({"records": [)", record, ", ", record, "]}");
  EXPECT_TRUE(absl::StrContains(ParseSplitJson(twice, "x").status().message(), "records[1].key"));
}

TEST(SplitManifest, FilesThatAreNotThereOrNotKnown) {
  EXPECT_EQ(ReadSplitManifest("none.json").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadSplitManifest("split.yaml").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteSplitManifest("split.yaml", {}).code(), absl::StatusCode::kInvalidArgument);
  // A checked form of another kind.
  const std::string path = testing::TempDir() + "/bad.textproto";
  ASSERT_TRUE(WriteFileAtomically(path, "records { key: '../x' split: 'eval' }").ok());
  EXPECT_EQ(ReadSplitManifest(path).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace manyform

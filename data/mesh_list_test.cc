#include "data/mesh_list.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/files.h"
#include "base/string_views.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

nlohmann::json Golden() {
  return nlohmann::json::parse(*ReadFile("testdata/golden/d_splits/shapenet_split.json"));
}

std::string NewFolder(absl::string_view name) {
  std::string folder = absl::StrCat(testing::TempDir(), "/mesh_list_", name);
  std::filesystem::remove_all(folder);
  return folder;
}

void Touch(const std::string& path) { ASSERT_TRUE(WriteFileAtomically(path, "").ok()); }

TEST(DivideTrainTest, PublishedDivisions) {
  const auto golden = Golden();
  for (const auto& expected : golden["cases"]) {
    std::vector<MeshSource> meshes;
    for (const std::string id : golden["ids"]) {
      const size_t slash = id.find('/');
      meshes.push_back({id, id.substr(0, slash), id.substr(slash + 1)});
    }
    DivideTrainTest(expected["test_ratio"], expected["split_seed"], &meshes);
    std::vector<std::string> test;
    for (const MeshSource& mesh : meshes) {
      if (mesh.test) test.push_back(mesh.path);
    }
    std::sort(test.begin(), test.end());
    EXPECT_EQ(test, expected["test"].get<std::vector<std::string>>()) << expected["test_ratio"];
  }
}

// The published inference looks at whole paths; ours at what is below the root.
TEST(InferClassAndId, PublishedPathsBelowTheirRoot) {
  const auto golden = Golden();
  int compared = 0;
  for (const auto& [path, expected] : golden["infer_synset_model"].items()) {
    const std::vector<std::string> unlike = {"/data/models/shapenet/a/b/models/x.obj",
                                             "models/a/b/models/x.obj", "root/cls/item.obj", "d/x.obj",
                                             "root\\a\\b\\models\\m.obj"};
    if (std::find(unlike.begin(), unlike.end(), path) != unlike.end()) continue;
    const auto [class_name, id] = InferClassAndId(ToStd(absl::StripPrefix(path, "root/")));
    EXPECT_EQ(class_name, expected[0].get<std::string>()) << path;
    EXPECT_EQ(id, expected[1].get<std::string>()) << path;
    ++compared;
  }
  EXPECT_EQ(compared, 3);
}

TEST(InferClassAndId, WhatAUserExpects) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"a/b/models/x.obj", "a", "b"},
      {"/a/b/models/x.obj", "a", "b"},
      {"models/b/models/x.obj", "models", "b"},
      {"cls/item.obj", "cls", "item"},
      {"chair/train/chair_0001.off", "chair", "chair_0001"},
      {"x.v2.obj", "unknown", "x.v2"},
  };
  for (const auto& [path, class_name, id] : cases) {
    EXPECT_EQ(InferClassAndId(path), std::pair(std::string(class_name), std::string(id))) << path;
  }
}

TEST(FindMeshes, ARootBelowAFolderCalledModels) {
  const std::string root = NewFolder("models") + "/x/models/shapes";
  Touch(root + "/0200/b/models/model_normalized.obj");
  Touch(root + "/0100/a/models/model_normalized.obj");
  Touch(root + "/0100/a/models/other.obj");
  std::filesystem::create_directories(root + "/0300");
  const auto meshes = FindMeshes(root, "*/*/models/model_normalized.obj", 0.5, 0);
  ASSERT_TRUE(meshes.ok()) << meshes.status();
  ASSERT_EQ(meshes->size(), 2u);
  EXPECT_EQ((*meshes)[0].path, root + "/0100/a/models/model_normalized.obj");
  EXPECT_EQ((*meshes)[0].class_name, "0100");
  EXPECT_EQ((*meshes)[1].id, "b");
}

TEST(FindMeshes, Refusals) {
  const std::string root = NewFolder("refusals");
  EXPECT_EQ(FindMeshes(root, "*", 0, 0).status().code(), absl::StatusCode::kNotFound);
  Touch(root + "/0100/a/models/one.obj");
  Touch(root + "/0100/a/models/two.obj");
  auto status = FindMeshes(root, "*/*/models/*.off", 0, 0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(status.message(), "*/*/models/*.off")) << status;
  status = FindMeshes(root, "*/*/models/*.obj", 0, 0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "0100/a/models/one.obj and ")) << status;
}

}  // namespace
}  // namespace manyform

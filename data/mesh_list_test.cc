#include "data/mesh_list.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/hash.h"
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

// The published inference looks at whole paths, ours at what is below the root: where the root's own folders
// take part in the published names, ours are others.
TEST(InferClassAndId, PublishedPathsBelowTheirRoot) {
  using Names = std::pair<std::string, std::string>;
  struct Case {
    const char *root, *below;
    Names published, ours;
  };
  const Case cases[] = {
      {"root/", "a/b/models/model_normalized.obj", {"a", "b"}, {"a", "b"}},
      {"root/", "a/b/c/item.off", {"b", "item"}, {"b", "item"}},
      {"", "x.obj", {"unknown", "x"}, {"unknown", "x"}},
      // The root lies in a folder "models", or is one.
      {"/data/models/shapenet/", "a/b/models/x.obj", {"", "data"}, {"a", "b"}},
      {"models/", "a/b/models/x.obj", {"b", "x"}, {"a", "b"}},
      // The component two above the file is the root's; the folder below it says more.
      {"root/", "cls/item.obj", {"root", "item"}, {"cls", "item"}},
      {"", "d/x.obj", {"unknown", "x"}, {"d", "x"}},
      // A backslash is a letter of a name here.
      {"", R"(root\a\b\models\m.obj)", {"a", "b"}, {"unknown", R"(root\a\b\models\m)"}},
  };
  const auto golden = Golden()["infer_synset_model"];
  EXPECT_EQ(golden.size(), std::size(cases));
  for (const auto& [root, below, published, ours] : cases) {
    const std::string path = absl::StrCat(root, below);
    SCOPED_TRACE(path);
    EXPECT_EQ(golden.at(path).get<Names>(), published);
    EXPECT_EQ(InferClassAndId(below), ours);
  }
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
  const auto meshes = FindShapeNetMeshes(root, "*/*/models/model_normalized.obj", 0.5, 0);
  ASSERT_TRUE(meshes.ok()) << meshes.status();
  ASSERT_EQ(meshes->size(), 2u);
  EXPECT_EQ((*meshes)[0].path, root + "/0100/a/models/model_normalized.obj");
  EXPECT_EQ((*meshes)[0].class_name, "0100");
  EXPECT_EQ((*meshes)[1].id, "b");
}

TEST(InferClassAndIdInTree, FirstFolderIsTheClass) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"a/b/models/x.obj", "a", "b"},          {"/chair/ikea/lack.v2.ply", "chair", "ikea_lack.v2"},
      {"chair/stool.glb", "chair", "stool"},   {"stool.glb", "unknown", "stool"},
      {"models/stool.glb", "models", "stool"}, {"Stühle/drei Beine/alt 1.stl", "Stühle", "drei Beine_alt 1"},
  };
  for (const auto& [path, class_name, id] : cases) {
    EXPECT_EQ(InferClassAndIdInTree(path), std::pair(std::string(class_name), std::string(id))) << path;
  }
}

TEST(FindMeshes, ModelNetsFoldersAreItsSplits) {
  const std::string root = NewFolder("modelnet");
  for (const char* name :
       {"chair/train/chair_0001.off", "chair/test/chair_0002.off", "bed/train/bed_0001.off",
        "bed/train/notes.txt", "bed/bed_0002.off", "README.off", "bed/test/.x.off"}) {
    Touch(root + "/" + name);
  }
  const auto meshes = FindModelNetMeshes(root);
  ASSERT_TRUE(meshes.ok()) << meshes.status();
  std::string listed;
  for (const MeshSource& mesh : *meshes) {
    absl::StrAppend(&listed, mesh.class_name, "/", mesh.id, mesh.test ? " test " : " train ");
    EXPECT_TRUE(
        absl::StartsWith(mesh.path, root + "/" + mesh.class_name + (mesh.test ? "/test/" : "/train/")));
  }
  EXPECT_EQ(listed, "bed/bed_0001 train chair/chair_0002 test chair/chair_0001 train ");
  EXPECT_EQ(FindModelNetMeshes(root + "/bed").status().code(), absl::StatusCode::kNotFound);
}

TEST(FindMeshes, TreesOfAnyDepth) {
  const std::string root = NewFolder("tree");
  for (const char* name :
       {"b/x.STL", "a/deep/er/y.glb", "a/z.txt", "top.ply", "c/d/models/m.dae", "a/folder.obj/f.off"}) {
    Touch(root + "/" + name);
  }
  auto meshes = FindTreeMeshes(root, "", 0, 0);
  ASSERT_TRUE(meshes.ok()) << meshes.status();
  std::string listed;
  for (const MeshSource& mesh : *meshes) absl::StrAppend(&listed, mesh.class_name, "/", mesh.id, " ");
  EXPECT_EQ(listed, "a/deep_er_y a/folder.obj_f b/x c/d unknown/top ");
  meshes = FindTreeMeshes(root, "a/**/*.*", 0, 0);
  ASSERT_TRUE(meshes.ok()) << meshes.status();
  EXPECT_EQ(meshes->size(), 4u) << "the folder and the text, too: what was asked for";
  EXPECT_EQ(FindTreeMeshes(root, "**/*.3ds", 0, 0).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FindTreeMeshes(root + "/none", "", 0, 0).status().code(), absl::StatusCode::kNotFound);
  Touch(root + "/b/x.obj");
  const auto status = FindTreeMeshes(root, "", 0, 0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "would both become shape b/x")) << status;
  Touch(root + "/b/two\nlines.obj");
  EXPECT_TRUE(absl::StrContains(FindTreeMeshes(root, "b/t*", 0, 0).status().message(), "two\\nlines.obj"));
}

// The published program's split lists of 397 models, byte for byte.
TEST(FindMeshes, PublishedSplitLists) {
  const auto golden = Golden();
  const auto before = std::filesystem::current_path();
  const std::string folder = NewFolder("published");
  for (const std::string id : golden["ids"]) {
    Touch(absl::StrCat(folder, "/root/", id, "/models/model_normalized.obj"));
  }
  std::filesystem::current_path(folder);
  const auto meshes = FindShapeNetMeshes("root", "", 0.1, 0);
  std::filesystem::current_path(before);
  ASSERT_TRUE(meshes.ok()) << meshes.status();
  std::string lists[2];
  for (const MeshSource& mesh : *meshes) absl::StrAppend(&lists[mesh.test ? 1 : 0], mesh.path, "\n");
  EXPECT_EQ(Sha256Hex(lists[0]), golden["manifest_sha256"]["train"].get<std::string>());
  EXPECT_EQ(Sha256Hex(lists[1]), golden["manifest_sha256"]["test"].get<std::string>());
}

// Of each class its share, by the published rule.
TEST(FindMeshes, TreesAreDividedByClass) {
  const std::string root = NewFolder("divided");
  for (int i = 0; i < 30; ++i) Touch(absl::StrCat(root, "/", i < 10 ? "few" : "many", "/part/m", i, ".ply"));
  const auto meshes = FindTreeMeshes(root, "", 0.3, 7);
  ASSERT_TRUE(meshes.ok()) << meshes.status();
  std::vector<MeshSource> expected;
  for (const MeshSource& mesh : *meshes) expected.push_back({mesh.path, mesh.class_name, mesh.id});
  DivideTrainTest(0.3, 7, &expected);
  std::map<std::string, int> tests;
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ((*meshes)[i].test, expected[i].test) << expected[i].path;
    tests[expected[i].class_name] += expected[i].test;
  }
  EXPECT_EQ(tests, (std::map<std::string, int>{{"few", 3}, {"many", 6}}));
}

TEST(FindMeshes, Refusals) {
  const std::string root = NewFolder("refusals");
  EXPECT_EQ(FindShapeNetMeshes(root, "*", 0, 0).status().code(), absl::StatusCode::kNotFound);
  Touch(root + "/0100/a/models/one.obj");
  Touch(root + "/0100/a/models/two.obj");
  auto status = FindShapeNetMeshes(root, "*/*/models/*.off", 0, 0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(status.message(), "*/*/models/*.off")) << status;
  status = FindShapeNetMeshes(root, "*/*/models/*.obj", 0, 0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "0100/a/models/one.obj and ")) << status;
}

}  // namespace
}  // namespace manyform

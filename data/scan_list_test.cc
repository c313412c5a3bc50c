#include "data/scan_list.h"

#include <filesystem>
#include <fstream>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;

// An empty folder that is the working directory until the test ends, for roots that are typed as in the
// golden runs.
class ScanList : public testing::Test {
 protected:
  ScanList() : before_(fs::current_path()), golden_(GoldenJson("d_splits/scanobjectnn_files.json")) {
    const fs::path folder = testing::TempDir() + "/scan_list";
    fs::remove_all(folder);
    fs::create_directories(folder);
    fs::current_path(folder);
  }
  ~ScanList() override { fs::current_path(before_); }
  static void Touch(const fs::path& path, const std::string& content = "") {
    if (path.has_parent_path()) fs::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }

  const fs::path before_;
  const nlohmann::json golden_;
};

TEST_F(ScanList, GoldenFilesOfEveryRoot) {
  for (const auto& file : golden_["files"]) Touch("so/" + file.get<std::string>());
  int duplicates = 0;
  for (const auto& c : golden_["cases"]) {
    const std::string root = c["scan_root"];
    SCOPED_TRACE(root + " " + c["split"].get<std::string>());
    const auto files = FindScanFiles(root, c["split"] == "test");
    ASSERT_TRUE(files.ok()) << files.status();
    EXPECT_EQ(*files, c["files"].get<std::vector<std::string>>());
    const absl::Status differ = CheckStemsDiffer(*files);
    EXPECT_EQ(differ.ok(), c["duplicate_error"].is_null()) << differ;
    if (differ.ok()) continue;
    ++duplicates;
    EXPECT_TRUE(absl::StrContains(differ.message(),
                                  "training_objectdataset (so/h5/main_split/training_objectdataset.h5, "
                                  "so/h5/main_split_nobg/training_objectdataset.h5)"))
        << differ;
  }
  EXPECT_EQ(duplicates, 1);
}

TEST_F(ScanList, RootsFoldersAndLinks) {
  Touch("train/a.h5");
  Touch("train/.b.h5");
  Touch("elsewhere/TrainingSet/c.h5");
  fs::create_directory_symlink(fs::absolute("elsewhere"), "train/link");
  EXPECT_EQ(*FindScanFiles("train/", false),
            (std::vector<std::string>{"train/a.h5", "train/link/TrainingSet/c.h5"}));
  EXPECT_TRUE(FindScanFiles("train", true)->empty());
  EXPECT_TRUE(absl::IsNotFound(FindScanFiles("none", false).status()));
  fs::create_directory_symlink(".", "train/again");
  EXPECT_TRUE(absl::StrContains(FindScanFiles("train", false).status().message(), "folders deep"));
}

TEST_F(ScanList, CloudsWithFoldersOfSplits) {
  for (const char* path :
       {"r/train/chair/a.ply", "r/train/chair/b.XYZ", "r/test/chair/a.npy", "r/test/big table/c.pts",
        "r/val/chair/d.ply", "r/train/chair/readme.md", "r/train/.x/e.ply"}) {
    Touch(path);
  }
  const auto clouds = FindPointClouds("r", 0.5, 0);
  ASSERT_TRUE(clouds.ok()) << clouds.status();
  std::vector<std::string> seen;
  for (const MeshSource& c : *clouds) {
    seen.push_back(absl::StrCat(c.test ? "test " : "train ", c.class_name, " ", c.id, " ", c.path));
  }
  EXPECT_EQ(seen, (std::vector<std::string>{
                      "test big table c r/test/big table/c.pts", "test chair a r/test/chair/a.npy",
                      "train chair a r/train/chair/a.ply", "train chair b r/train/chair/b.XYZ"}));
  Touch("r/train/chair/a.txt");
  EXPECT_EQ(FindPointClouds("r", 0.5, 0).status().message(),
            "r/train/chair/a.ply and r/train/chair/a.txt would both become shape chair/a");
}

TEST_F(ScanList, CloudsDividedAsMeshesAre) {
  std::vector<MeshSource> meshes;
  for (int i = 0; i < 40; ++i) {
    const std::string class_name = i % 4 == 0 ? "table" : "chair", id = absl::StrCat("id", i);
    Touch(absl::StrCat("r/", class_name, "/", id, ".xyz"));
    meshes.push_back({"", class_name, id});
  }
  DivideTrainTest(0.2, 7, &meshes);
  std::map<std::string, bool> expected;
  int64_t num_test = 0;
  for (const MeshSource& mesh : meshes) {
    expected[mesh.class_name + "/" + mesh.id] = mesh.test;
    num_test += mesh.test;
  }
  EXPECT_EQ(num_test, 8);
  const auto clouds = FindPointClouds("r", 0.2, 7);
  ASSERT_TRUE(clouds.ok()) << clouds.status();
  ASSERT_EQ(clouds->size(), 40);
  for (const MeshSource& cloud : *clouds)
    EXPECT_EQ(cloud.test, expected.at(cloud.class_name + "/" + cloud.id));
}

TEST_F(ScanList, NoClouds) {
  fs::create_directories("r/chair");
  EXPECT_TRUE(absl::IsNotFound(FindPointClouds("r", 0.1, 0).status()));
  EXPECT_TRUE(absl::IsNotFound(FindPointClouds("none", 0.1, 0).status()));
}

TEST_F(ScanList, ClassNames) {
  Touch("names.txt", "bag\r\n display case \nbin\n\n");
  EXPECT_EQ(*ReadClassNames("names.txt"), (std::vector<std::string>{"bag", "display case", "bin"}));
  const std::pair<std::string, std::string> bad[] = {
      {"a\n\nb\n", "names.txt:2: class name \"\" is empty"},
      {"a\nb\na\n", "names.txt:3: class name \"a\" is repeated"},
      {"a\n../b\n", "names.txt:2: class name \"../b\" is no name for a folder"},
      {"a/b\n", "names.txt:1: class name \"a/b\" is no name for a folder"},
      {"", "names.txt:1: class name \"\" is empty"}};
  for (const auto& [text, message] : bad) {
    Touch("names.txt", text);
    EXPECT_EQ(ReadClassNames("names.txt").status().message(), message);
  }
  EXPECT_TRUE(absl::IsNotFound(ReadClassNames("none.txt").status()));
}

}  // namespace
}  // namespace manyform

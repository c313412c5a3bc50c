#include "tools/demo/import_furniture.h"

#include <filesystem>
#include <map>
#include <string>

#include "base/files.h"
#include "base/testing/make_zip.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr char kObj[] = "mtllib chair.mtl\nv 0 0 0\nv 1 0 0\nv 0 2 0\nf 1 2 3\n";
constexpr char kOther[] = "v 0 0 0\nv 1 0 0\nv 0 3 0\nf 1 2 3\n";

class ImportFurnitureTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    folder_ = JoinPath(testing::TempDir(), name);
    std::filesystem::remove_all(folder_);
    ASSERT_TRUE(MakeDirectories(folder_ + "/libraries").ok());
    config_.set_library_root(folder_ + "/libraries");
    config_.set_out_root(folder_ + "/out");
  }
  void Library(const std::string& name, const std::string& catalogue,
               std::vector<std::pair<std::string, std::string>> members) {
    members.emplace_back("PluginFurnitureCatalog.properties", catalogue);
    MakeZip(folder_ + "/libraries/" + name + ".sh3f", members);
  }
  std::string Out(const std::string& path) const { return folder_ + "/out/" + path; }
  std::string Text(const std::string& path) const { return ReadFile(Out(path)).value_or("(missing)"); }
  Catalogue Listed() const {
    Catalogue catalogue;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(Text("catalogue.json"), &catalogue).ok());
    return catalogue;
  }
  std::map<std::string, std::string> Reasons(const ImportFurnitureResult& result) const {
    std::map<std::string, std::string> reasons;
    for (const SkippedModel& skipped : result.skipped()) {
      reasons[skipped.library() + ":" + skipped.path()] = skipped.reason();
    }
    return reasons;
  }
  std::string folder_;
  ImportFurnitureConfig config_;
};

TEST_F(ImportFurnitureTest, WritesMeshMaterialsLicenceAndCatalogue) {
  Library("My-Library-of-a-name-beyond-small-strings",
          "license=CC BY\nname#1=Arm chair\ncategory#1=Living room\ntags#1=Seat, Wood\ncreator#1=Ann\n"
          "model#1=/lib/chair/chair.obj\n",
          {{"lib/chair/chair.obj", kObj},
           {"lib/chair/chair.mtl", "newmtl red\r\nKd 1 0 0\r\nmap_Kd red.png\r\n"},
           {"lib/chair/LICENSE.TXT", "by Ann"}});
  const ImportFurnitureResult result = ImportFurniture(config_).value();
  EXPECT_EQ(result.models(), 1);
  EXPECT_EQ(result.classes(), 1);
  EXPECT_THAT(result.skipped(), SizeIs(0));
  const std::string model = "living_room/my_library_of_a_name_beyond_small_strings_chair";
  EXPECT_EQ(Text(model + "/models/model_normalized.obj"),
            "mtllib model_normalized.mtl\nv 0 0 0\nv 1 0 0\nv 0 2 0\nf 1 2 3\n");
  EXPECT_EQ(Text(model + "/models/model_normalized.mtl"), "newmtl red\nKd 1 0 0\n");
  EXPECT_EQ(Text(model + "/LICENSE.txt"), "by Ann");
  const Catalogue catalogue = Listed();
  ASSERT_THAT(catalogue.models(), SizeIs(1));
  EXPECT_EQ(catalogue.models(0).class_name() + "/" + catalogue.models(0).id(), model);
  EXPECT_EQ(catalogue.models(0).name(), "Arm chair");
  EXPECT_EQ(catalogue.models(0).category(), "Living room");
  EXPECT_THAT(catalogue.models(0).tags(), ElementsAre("Seat", "Wood"));
  EXPECT_EQ(catalogue.models(0).licence(), "CC BY");
  EXPECT_EQ(catalogue.models(0).author(), "Ann");
  EXPECT_EQ(catalogue.models(0).library(), "My-Library-of-a-name-beyond-small-strings.sh3f");
  EXPECT_EQ(catalogue.models(0).path(), "lib/chair/chair.obj");
  EXPECT_THAT(Text("catalogue.json"), HasSubstr("class_name"));
}

TEST_F(ImportFurnitureTest, ModelsAreRotatedUpright) {
  Library("L", "category#1=C\nmodel#1=/a.obj\nmodelRotation#1=1 0 0 0 0 1 0 -1 0\n", {{"a.obj", kObj}});
  ASSERT_TRUE(ImportFurniture(config_).ok());
  EXPECT_THAT(Text("c/l_a/models/model_normalized.obj"), HasSubstr("v 0 0 -2\n"));
}

TEST_F(ImportFurnitureTest, WhatCannotBeTakenIsListed) {
  Library("L",
          "category#1=C\nmodel#1=/a.obj\n"
          "category#2=C\nmodel#2=/missing.obj\n"
          "category#3=C\nmodel#3=/house.dae\n"
          "category#4=C\nmodel#4=/../../etc/x.obj\n"
          "category#5=C\nmodel#5=/empty.obj\n"
          "category#6=C\nmodel#6=/bad.obj\n"
          "category#7=C\nmodel#7=/b.obj\nmodelRotation#7=1 2 3\n",
          {{"a.obj", kObj},
           {"house.dae", "<COLLADA/>"},
           {"../../etc/x.obj", kObj},
           {"empty.obj", "v 0 0 0\n"},
           {"bad.obj", "v 0 zero 0\nf 1 1 1\n"},
           {"b.obj", kOther}});
  const ImportFurnitureResult result = ImportFurniture(config_).value();
  EXPECT_EQ(result.models(), 1);
  const std::map<std::string, std::string> reasons = Reasons(result);
  EXPECT_EQ(reasons.size(), 6);
  EXPECT_EQ(reasons.at("L.sh3f:missing.obj"), "not in the library");
  EXPECT_EQ(reasons.at("L.sh3f:house.dae"), "only .obj models are read");
  EXPECT_EQ(reasons.at("L.sh3f:../../etc/x.obj"), "path leads out of the library");
  EXPECT_EQ(reasons.at("L.sh3f:empty.obj"), "has no faces");
  EXPECT_THAT(reasons.at("L.sh3f:bad.obj"), HasSubstr("line 1"));
  EXPECT_THAT(reasons.at("L.sh3f:b.obj"), HasSubstr("rotation"));
}

TEST_F(ImportFurnitureTest, SameGeometryIsTakenOnceAndNamesStayUnique) {
  Library("A", "category#1=C\nmodel#1=/x/chair.obj\ncategory#2=C\nmodel#2=/y/chair.obj\n",
          {{"x/chair.obj", kObj}, {"y/chair.obj", kOther}});
  Library("B", "category#1=D\nmodel#1=/z.obj\n", {{"z.obj", std::string("usemtl blue\n") + kObj}});
  const ImportFurnitureResult result = ImportFurniture(config_).value();
  EXPECT_EQ(Reasons(result).at("B.sh3f:z.obj"), "same geometry as A.sh3f/x/chair.obj");
  const Catalogue catalogue = Listed();
  ASSERT_THAT(catalogue.models(), SizeIs(2));
  EXPECT_EQ(catalogue.models(0).id(), "a_chair");
  EXPECT_EQ(catalogue.models(1).id(), "a_chair_2");
}

TEST_F(ImportFurnitureTest, ClassesCanBeBounded) {
  Library(
      "L",
      "category#1=Big\nmodel#1=/a.obj\ncategory#2=Big\nmodel#2=/b.obj\ncategory#3=Small\nmodel#3=/c.obj\n",
      {{"a.obj", kObj}, {"b.obj", kOther}, {"c.obj", "v 0 0 0\nv 1 0 0\nv 0 4 0\nf 1 2 3\n"}});
  config_.set_min_per_class(2);
  const ImportFurnitureResult result = ImportFurniture(config_).value();
  EXPECT_EQ(result.models(), 2);
  EXPECT_THAT(Reasons(result).at("L.sh3f:c.obj"), AllOf(HasSubstr("small"), HasSubstr("min_per_class=2")));

  config_.set_min_per_class(1);
  config_.set_max_models(1);
  config_.set_out_root(folder_ + "/other");
  EXPECT_EQ(ImportFurniture(config_)->models(), 2);
  EXPECT_TRUE(FileExists(folder_ + "/other/small/l_c/models/model_normalized.obj"));
  EXPECT_FALSE(FileExists(folder_ + "/other/big/l_b/models/model_normalized.obj"));
}

TEST_F(ImportFurnitureTest, ASecondRunKeepsWhatIsThere) {
  Library("L", "category#1=C\nmodel#1=/a.obj\n", {{"a.obj", kObj}});
  ASSERT_TRUE(ImportFurniture(config_).ok());
  const std::string catalogue = Text("catalogue.json"), path = "c/l_a/models/model_normalized.obj";
  ASSERT_TRUE(WriteFileAtomically(Out(path), "mine").ok());
  ASSERT_TRUE(ImportFurniture(config_).ok());
  EXPECT_EQ(Text(path), "mine");
  EXPECT_EQ(Text("catalogue.json"), catalogue);
  config_.set_overwrite(true);
  ASSERT_TRUE(ImportFurniture(config_).ok());
  EXPECT_THAT(Text(path), Not(HasSubstr("mine")));
}

TEST_F(ImportFurnitureTest, ModelsOfAnotherImportAreRefused) {
  Library("L", "category#1=C\nmodel#1=/a.obj\n", {{"a.obj", kObj}});
  ASSERT_TRUE(WriteFileAtomically(Out("c/other/models/model_normalized.obj"), kOther).ok());
  const absl::Status status = ImportFurniture(config_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("c/other"));
  EXPECT_FALSE(FileExists(Out("catalogue.json")));
}

TEST_F(ImportFurnitureTest, UnusableLibrariesAreNamed) {
  EXPECT_EQ(ImportFurniture(config_).status().code(), absl::StatusCode::kNotFound);

  ASSERT_TRUE(WriteFileAtomically(folder_ + "/libraries/L.sh3f", "no zip").ok());
  absl::Status status = ImportFurniture(config_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("L.sh3f"));

  Library("L", "a=\\u12\n", {});
  status = ImportFurniture(config_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("L.sh3f"), HasSubstr("line 1")));

  Library("L", "category#1=C\nmodel#1=/a.skp\n", {{"a.skp", ""}});
  status = ImportFurniture(config_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("only .obj"));
}

}  // namespace
}  // namespace manyform

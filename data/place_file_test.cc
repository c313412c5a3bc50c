#include "data/place_file.h"

#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;

class PlaceFileTest : public testing::TestWithParam<LinkMode> {
 protected:
  void SetUp() override {
    root_ = testing::TempDir() + "/place";
    fs::remove_all(root_);
    Put("src/a/x", "content");
    ASSERT_TRUE(MakeDirectories(Path("out/b")).ok());
  }
  std::string Path(const std::string& name) const { return JoinPath(root_, name); }
  void Put(const std::string& name, const std::string& text) const {
    ASSERT_TRUE(WriteFileAtomically(Path(name), text).ok());
  }
  std::string root_;
};

TEST_P(PlaceFileTest, StandsForTheFileAndReplacesWhatWasThere) {
  for (int again = 0; again < 3; ++again) {
    if (again == 2) Put("out/b/y", "other");
    ASSERT_TRUE(PlaceFile(Path("src/a/x"), Path("out/b/y"), GetParam()).ok());
    EXPECT_EQ(ReadFile(Path("out/b/y")).value(), "content");
    // No temporary remains.
    EXPECT_EQ(ListDirectory(Path("out/b")).value(), std::vector<std::string>{"y"});
  }
  EXPECT_EQ(fs::is_symlink(Path("out/b/y")), GetParam() == LinkMode::kSymlink);
  EXPECT_EQ(fs::equivalent(Path("out/b/y"), Path("src/a/x")), GetParam() != LinkMode::kCopy);
}

TEST_P(PlaceFileTest, FollowsLinksOnTheWay) {
  // The source is a link, and the target's folder is reached through one.
  fs::create_symlink("x", Path("src/a/link"));
  fs::create_directory_symlink("out/b", Path("shortcut"));
  ASSERT_TRUE(PlaceFile(Path("src/a/link"), Path("shortcut/y"), GetParam()).ok());
  EXPECT_EQ(ReadFile(Path("out/b/y")).value(), "content");
  EXPECT_EQ(fs::equivalent(Path("out/b/y"), Path("src/a/x")), GetParam() != LinkMode::kCopy);
}

TEST_P(PlaceFileTest, MovesWithItsSource) {
  ASSERT_TRUE(PlaceFile(Path("src/a/x"), Path("out/b/y"), GetParam()).ok());
  fs::remove_all(root_ + "_moved");
  fs::rename(root_, root_ + "_moved");
  EXPECT_EQ(ReadFile(root_ + "_moved/out/b/y").value(), "content");
}

TEST_P(PlaceFileTest, FailuresNameBothAndLeaveNothing) {
  const absl::Status status = PlaceFile(Path("src/none/x"), Path("out/b/y"), GetParam());
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find("src/none/x"), absl::string_view::npos) << status;
  ASSERT_TRUE(MakeDirectories(Path("out/b/folder/full")).ok());
  EXPECT_FALSE(PlaceFile(Path("src/a/x"), Path("out/b/folder"), GetParam()).ok());
  EXPECT_EQ(ListDirectory(Path("out/b")).value(), std::vector<std::string>{"folder"});
}

INSTANTIATE_TEST_SUITE_P(Modes, PlaceFileTest,
                         testing::Values(LinkMode::kSymlink, LinkMode::kHardlink, LinkMode::kCopy));

TEST(LinkMode, NamesAreKnownOrRefused) {
  EXPECT_EQ(ParseLinkMode("copy").value(), LinkMode::kCopy);
  EXPECT_EQ(ParseLinkMode("move").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace manyform

#include "data/cache_journal.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/string_views.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

class Journal : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::remove_all(testing::TempDir() + "/journal"); }

  static ArrayLayout Layout(uint64_t offset) {
    ArrayLayout layout;
    ArrayEntry* array = layout.add_arrays();
    array->set_name("x");
    array->set_dtype("<f4");
    array->set_offset(offset);
    return layout;
  }
  static ShapeEntry Shape(absl::string_view id) {
    ShapeEntry shape;
    shape.set_split("train");
    shape.set_class_name("c");
    shape.set_id(std::string(id));
    return shape;
  }
  // A journal of three shapes with two layouts.
  void Fill() {
    auto journal = CacheJournal::Open(path_);
    ASSERT_TRUE(journal.ok()) << journal.status();
    CacheManifest header;
    header.set_build_fingerprint("f");
    ASSERT_TRUE((*journal)->Start(header).ok());
    ASSERT_TRUE((*journal)->Append(Shape("a"), Layout(64)).ok());
    ASSERT_TRUE((*journal)->Append(Shape("b"), Layout(128)).ok());
    ASSERT_TRUE((*journal)->Append(Shape("c"), Layout(64)).ok());
  }
  // Ids of the shapes a reader finds.
  std::string Ids() {
    auto journal = CacheJournal::Open(path_);
    EXPECT_TRUE(journal.ok()) << journal.status();
    std::string ids;
    for (const ShapeEntry& shape : (*journal)->content().shapes()) {
      ids += shape.id();
      const uint64_t offset = (*journal)->content().layouts(shape.layout()).arrays(0).offset();
      EXPECT_EQ(offset, shape.id() == "b" ? 128u : 64u);
    }
    return ids;
  }
  const std::string path_ = testing::TempDir() + "/journal/_meta/j";
};

TEST_F(Journal, RemembersShapesAndLayouts) {
  Fill();
  EXPECT_EQ(Ids(), "abc");
  const auto journal = CacheJournal::Open(path_);
  EXPECT_EQ((*journal)->content().build_fingerprint(), "f");
  EXPECT_EQ((*journal)->content().layouts_size(), 2);
}

TEST_F(Journal, EveryTornTailLosesOnlyTheRecordsItTore) {
  Fill();
  const std::string whole = *ReadFile(path_);
  std::string last = "abc";
  for (size_t size = whole.size(); size-- > 0;) {
    ASSERT_TRUE(WriteFileAtomically(path_, ToStd(absl::string_view(whole).substr(0, size))).ok());
    const std::string ids = Ids();
    EXPECT_EQ(ids, std::string("abc").substr(0, ids.size()));
    EXPECT_LE(ids.size(), last.size());
    EXPECT_LT(ids.size(), 3u);
    last = ids;
  }
  EXPECT_EQ(last, "");
}

TEST_F(Journal, DamageEndsReadingThereAndAppendingGoesOn) {
  Fill();
  const std::string whole = *ReadFile(path_);
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] ^= 0x10;
    ASSERT_TRUE(WriteFileAtomically(path_, damaged).ok());
    EXPECT_LT(Ids().size(), 3u) << at;
  }
  Fill();
  ASSERT_TRUE(WriteFileAtomically(path_, ToStd(absl::string_view(whole).substr(0, whole.size() - 1))).ok());
  {
    auto journal = CacheJournal::Open(path_);
    ASSERT_TRUE((*journal)->Append(Shape("d"), Layout(64)).ok());
  }
  EXPECT_EQ(Ids(), "abd");
}

TEST_F(Journal, OneProcessAtATime) {
  const auto first = CacheJournal::Open(path_);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(CacheJournal::Open(path_).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(Journal, FinishedOrNeverStartedLeavesNothing) {
  { ASSERT_TRUE(CacheJournal::Open(path_).ok()); }
  EXPECT_FALSE(FileExists(testing::TempDir() + "/journal/_meta"));
  Fill();
  { ASSERT_TRUE((*CacheJournal::Open(path_))->Finish().ok()); }
  EXPECT_FALSE(FileExists(testing::TempDir() + "/journal/_meta"));
  Fill();
  ASSERT_TRUE(WriteFileAtomically(testing::TempDir() + "/journal/_meta/other", "").ok());
  { ASSERT_TRUE((*CacheJournal::Open(path_))->Finish().ok()); }
  EXPECT_TRUE(FileExists(testing::TempDir() + "/journal/_meta/other"));
  EXPECT_FALSE(FileExists(path_));
}

}  // namespace
}  // namespace manyform

#include "tools/demo/furniture_catalogue.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(FurnitureEntries, AreReadByNumber) {
  const auto entries = FurnitureEntries({{"id", "library"},
                                         {"license", "CC  BY \t 3.0 "},
                                         {"model#10", "/lib/ten.obj"},
                                         {"name#10", "Ten"},
                                         {"model#2", " /lib/two.obj "},
                                         {"name#2", " Arm  chair"},
                                         {"category#2", "Living room"},
                                         {"tags#2", "Seat, Wood , ,Blend  Swap"},
                                         {"creator#2", "Ann"},
                                         {"license#2", "CC0"},
                                         {"modelRotation#2", "1 0 0 0 0 1 0 -1 0"}});
  ASSERT_EQ(entries.size(), 2);
  EXPECT_EQ(entries[0].number, 2);
  EXPECT_EQ(entries[0].name, "Arm chair");
  EXPECT_EQ(entries[0].category, "Living room");
  EXPECT_THAT(entries[0].tags, ElementsAre("Seat", "Wood", "Blend Swap"));
  EXPECT_EQ(entries[0].author, "Ann");
  EXPECT_EQ(entries[0].licence, "CC0");
  EXPECT_EQ(entries[0].model, "/lib/two.obj");
  EXPECT_EQ(entries[0].rotation, "1 0 0 0 0 1 0 -1 0");
  EXPECT_EQ(entries[1].number, 10);
  EXPECT_EQ(entries[1].licence, "CC BY 3.0");
  EXPECT_EQ(entries[1].author, "");
  EXPECT_THAT(entries[1].tags, IsEmpty());
}

TEST(FurnitureEntries, KeysWithoutANumberAreNone) {
  EXPECT_THAT(FurnitureEntries({{"model#", "a"},
                                {"model#x", "b"},
                                {"model#0", "c"},
                                {"model#-1", "d"},
                                {"model#99999999999999999999", "e"},
                                {"name#1", "f"}}),
              IsEmpty());
}

TEST(Slug, KeepsLettersAndDigits) {
  EXPECT_EQ(Slug("Doors and windows"), "doors_and_windows");
  EXPECT_EQ(Slug("BlendSwap-CC-0"), "blendswap_cc_0");
  EXPECT_EQ(Slug("  ../caf\xC3\xA9 "), "caf");
  EXPECT_EQ(Slug("-\xE2\x82\xAC-"), "");
}

}  // namespace
}  // namespace manyform

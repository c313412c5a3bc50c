#include "tools/demo/properties.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

auto Parsed(absl::string_view text) { return ParseProperties(text).value(); }

TEST(Properties, SeparatorsAreEqualsColonOrBlank) {
  EXPECT_THAT(Parsed("a=1\nb:2\nc 3\nd  =  4\ne\t:5\nf==6\n"),
              ElementsAre(Pair("a", "1"), Pair("b", "2"), Pair("c", "3"), Pair("d", "4"), Pair("e", "5"),
                          Pair("f", "=6")));
}

TEST(Properties, CommentsAndBlankLinesAreSkipped) {
  EXPECT_THAT(Parsed("# a=1\n  ! b=2\n\n \t\nname#1=Chair"), ElementsAre(Pair("name#1", "Chair")));
}

TEST(Properties, TrailingBlanksBelongToTheValue) {
  EXPECT_THAT(Parsed("a = 1 \nb"), ElementsAre(Pair("a", "1 "), Pair("b", "")));
}

TEST(Properties, LinesEndInAnyConvention) {
  EXPECT_THAT(Parsed("a=1\r\nb=2\rc=3\n"), ElementsAre(Pair("a", "1"), Pair("b", "2"), Pair("c", "3")));
}

TEST(Properties, ContinuedLinesLoseTheirIndentation) {
  EXPECT_THAT(Parsed("a=one, \\\n    two\\\r\n\tthree\nb=4"),
              ElementsAre(Pair("a", "one, twothree"), Pair("b", "4")));
}

TEST(Properties, OnlyAnOddNumberOfBackslashesContinues) {
  EXPECT_THAT(Parsed("a=1\\\\\nb=2\\\\\\\n3"), ElementsAre(Pair("a", "1\\"), Pair("b", "2\\3")));
}

TEST(Properties, CommentLinesAreNotContinued) {
  EXPECT_THAT(Parsed("# note \\\na=1"), ElementsAre(Pair("a", "1")));
}

TEST(Properties, BackslashAtTheEndOfTheFileIsDropped) {
  EXPECT_THAT(Parsed("a=1\\"), ElementsAre(Pair("a", "1")));
}

TEST(Properties, Escapes) {
  EXPECT_THAT(Parsed("k\\=\\ \\:=x\\ty\\q\\n"), ElementsAre(Pair("k= :", "x\tyq\n")));
}

TEST(Properties, Latin1AndUnicodeEscapesBecomeUtf8) {
  EXPECT_THAT(
      Parsed("a=caf\xE9\nb=10\\u20ac\nc=\\uD83D\\uDE00"),
      ElementsAre(Pair("a", "caf\xC3\xA9"), Pair("b", "10\xE2\x82\xAC"), Pair("c", "\xF0\x9F\x98\x80")));
}

TEST(Properties, LoneSurrogatesAreReplaced) {
  EXPECT_THAT(Parsed("a=\\uD83Dx\nb=\\uDE00\nc=\\uD83D"),
              ElementsAre(Pair("a", "\xEF\xBF\xBDx"), Pair("b", "\xEF\xBF\xBD"), Pair("c", "\xEF\xBF\xBD")));
}

TEST(Properties, LastOfARepeatedKeyCounts) { EXPECT_THAT(Parsed("a=1\na=2"), ElementsAre(Pair("a", "2"))); }

TEST(Properties, NothingGivesNothing) { EXPECT_THAT(Parsed(""), IsEmpty()); }

TEST(Properties, ShortUnicodeEscapeNamesItsLine) {
  const auto parsed = ParseProperties("a=1\n\nb=\\u20g0\n");
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(parsed.status().message()), testing::HasSubstr("line 3"));
  EXPECT_FALSE(ParseProperties("b=\\u20").ok());
}

}  // namespace
}  // namespace manyform

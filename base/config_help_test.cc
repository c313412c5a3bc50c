#include "base/config_help.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/testing/test_config.pb.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

const std::vector<std::string>& Lines() {
  static const std::vector<std::string> lines = absl::StrSplit(
      HelpText("cook", "Turns a folder of meshes into a shape cache.", *TestConfig::descriptor()), '\n');
  return lines;
}

std::vector<std::string>::const_iterator LineOf(const std::string& name) {
  return std::find_if(Lines().begin(), Lines().end(),
                      [&](const std::string& line) { return absl::StartsWith(line, "  " + name + " "); });
}

// The line of a field without its name.
std::string Described(const std::string& name) {
  const auto line = LineOf(name);
  if (line == Lines().end()) return "missing";
  return std::string(absl::StripLeadingAsciiWhitespace(line->substr(2 + name.size())));
}

TEST(HelpText, SaysWhatAFieldIs) {
  EXPECT_EQ(Described("root"), "a string, required: folder of meshes");
  EXPECT_EQ(Described("n_point"), "an integer in [1, 65536], default 256: points a sequence");
  EXPECT_EQ(Described("count"), "an integer >= 0");
  EXPECT_EQ(Described("flag"), "0, 1, true or false, default true");
  EXPECT_EQ(Described("mode"), "one of fast, slow, default fast");
  EXPECT_EQ(Described("colour"), "one of RED, GREEN, default GREEN");
  EXPECT_EQ(Described("ratios"), "list; each a number in [0, 1]");
  EXPECT_EQ(Described("inputs"), "list; each a string, required");
  EXPECT_EQ(Described("part.weight"), "a number >= 0, default 1");
  EXPECT_EQ(Described("parts[].weight"), "a number >= 0, default 1");
}

TEST(HelpText, OptionsAndExitCodes) {
  EXPECT_EQ(Lines()[0], "Turns a folder of meshes into a shape cache.");
  EXPECT_EQ(Lines()[2], "Usage: cook [--config FILE.textproto]... [--log FILE] [field=value]...");
  EXPECT_EQ(Described("--help"), "print this");
  EXPECT_EQ(Described("1"), "failed while running");
  EXPECT_TRUE(absl::StrContains(Described("3"), "findings"));
}

TEST(HelpText, TheAboutTextIsWrappedByParagraph) {
  const std::string about =
      absl::StrCat(std::string(60, 'a'), "\n", std::string(60, 'b'), " c\nd\n\nSecond.");
  EXPECT_TRUE(absl::StartsWith(
      HelpText("cook", about, *TestConfig::descriptor()),
      absl::StrCat(std::string(60, 'a'), "\n", std::string(60, 'b'), " c d\n\nSecond.\n\nUsage: cook")));
}

TEST(HelpText, WrappedAndAligned) {
  for (const std::string& line : Lines()) EXPECT_LE(line.size(), 100) << line;
  const auto rate = LineOf("rate");
  ASSERT_NE(rate, Lines().end());
  const size_t column = rate->find("a number");
  ASSERT_NE(column, std::string::npos);
  EXPECT_EQ((rate + 1)->find_first_not_of(' '), column);
  EXPECT_EQ((rate + 2)->find_first_not_of(' '), column);
  EXPECT_EQ(LineOf("seed")->find("an integer"), column);
}

}  // namespace
}  // namespace manyform

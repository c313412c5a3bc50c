#include "base/config.h"

#include <cmath>
#include <cstdlib>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/testing/test_config.pb.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

// Applies the arguments to a config whose required fields are given, then checks it; "" if all is well.
std::string Error(const std::vector<std::string>& arguments, TestConfig* config) {
  config->set_root("r");
  config->add_inputs("i");
  for (const std::string& argument : arguments) {
    if (absl::Status status = ApplyOverride(argument, config); !status.ok()) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      return std::string(status.message());
    }
  }
  return std::string(CheckConfig(*config).message());
}

std::string Error(const std::string& argument) {
  TestConfig config;
  return Error({argument}, &config);
}

TEST(ApplyOverride, SetsEveryKind) {
  TestConfig config;
  EXPECT_EQ(
      Error({"n_point=12", "seed=-9000000000", "count=4294967295", "big=1000000000000", "rate=2.5e-3",
             "scale=-0.5", "flag=0", "mode=slow", "colour=RED", "root=a=b,c", "part.name=x", "part.weight=0"},
            &config),
      "");
  EXPECT_EQ(config.n_point(), 12);
  EXPECT_EQ(config.seed(), -9000000000);
  EXPECT_EQ(config.count(), 4294967295u);
  EXPECT_EQ(config.big(), 1000000000000u);
  EXPECT_EQ(config.rate(), 2.5e-3);
  EXPECT_EQ(config.scale(), -0.5f);
  EXPECT_FALSE(config.flag());
  EXPECT_EQ(config.mode(), "slow");
  EXPECT_EQ(config.colour(), RED);
  EXPECT_EQ(config.root(), "a=b,c");
  EXPECT_EQ(config.part().name(), "x");
  EXPECT_EQ(config.part().weight(), 0);
}

TEST(ApplyOverride, Bools) {
  for (const auto& [text, value] : std::vector<std::pair<std::string, bool>>{
           {"0", false}, {"1", true}, {"false", false}, {"true", true}}) {
    TestConfig config;
    EXPECT_EQ(Error({"flag=" + text}, &config), "");
    EXPECT_EQ(config.flag(), value);
  }
  for (const char* text : {"", "yes", "True", "2", " 1"}) {
    EXPECT_EQ(Error(absl::StrCat("flag=", text)),
              absl::StrCat("field flag: got \"", text, "\", expected 0, 1, true or false"));
  }
}

TEST(ApplyOverride, RepeatedFieldsTakeCommas) {
  TestConfig config;
  EXPECT_EQ(Error({"ratios=0.5,0.25,0.25", "names=a,,b", "names=x,y", "modes=a,b,a"}, &config), "");
  EXPECT_EQ(std::vector<double>(config.ratios().begin(), config.ratios().end()),
            (std::vector<double>{0.5, 0.25, 0.25}));
  EXPECT_EQ(std::vector<std::string>(config.names().begin(), config.names().end()),
            (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(config.modes_size(), 3);
  EXPECT_EQ(Error({"ratios=", "names=a,,b"}, &config), "");
  EXPECT_EQ(config.ratios_size(), 0);
  EXPECT_EQ(config.names(1), "");
}

TEST(ApplyOverride, WrongTypesSayWhatWasExpected) {
  EXPECT_EQ(Error("n_point=many"), "field n_point: got \"many\", expected an integer in [1, 65536]");
  for (const char* text : {"", "12x", "1.5", "1e3", " 1", "1 ", "0x10", "99999999999", "nan"}) {
    EXPECT_TRUE(absl::StrContains(Error(absl::StrCat("n_point=", text)), "expected an integer in")) << text;
  }
  for (const char* text : {"", "1.5.2", "nan", "NaN", "-nan", "inf", "1e999", "1 ", "abc"}) {
    EXPECT_TRUE(absl::StrContains(Error(absl::StrCat("rate=", text)), "expected a number >= 0")) << text;
  }
  EXPECT_EQ(Error("scale=-1e39"), "field scale: got \"-1e39\", expected a number <= 10");
  EXPECT_EQ(Error("count=-1"), "field count: got \"-1\", expected an integer >= 0");
  EXPECT_EQ(Error("seed=9223372036854775808"),
            "field seed: got \"9223372036854775808\", expected an integer");
  EXPECT_EQ(Error("colour=BLUE"), "field colour: got \"BLUE\", expected one of RED, GREEN");
  EXPECT_EQ(Error("ratios=0.1,,0.2"), "field ratios: got \"\", expected a number in [0, 1]");
  EXPECT_EQ(Error("n_point=1\n2"), "field n_point: got \"1\\n2\", expected an integer in [1, 65536]");
}

TEST(ApplyOverride, UnknownFieldsSuggestTheNearest) {
  EXPECT_EQ(Error("n_points=3"), "unknown field \"n_points\"; did you mean n_point?");
  EXPECT_EQ(Error("part.wieght=3"), "unknown field \"part.wieght\"; did you mean part.weight?");
  EXPECT_EQ(Error("n_point.x=3"), "unknown field \"n_point.x\"; did you mean n_point?");
  EXPECT_TRUE(absl::StrContains(Error(std::string(100000, 'q') + "=3"), "unknown field"));
  EXPECT_TRUE(absl::StrContains(Error(".=3"), "unknown field"));
}

TEST(ApplyOverride, NeedsAFieldAndAValue) {
  EXPECT_EQ(Error("n_point"), "argument \"n_point\": expected field=value");
  EXPECT_EQ(Error("=3"), "argument \"=3\": expected field=value");
  EXPECT_EQ(Error(""), "argument \"\": expected field=value");
}

TEST(ApplyOverride, MessagesAreSetByTheirFields) {
  EXPECT_EQ(Error("part=x"), "field part: is a message, set its fields: part.name=...");
  const std::string list = "field parts: a list of messages is given in a file: --config FILE.textproto";
  EXPECT_EQ(Error("parts=x"), list);
  EXPECT_TRUE(absl::StrContains(Error("parts.name=x"), "--config FILE.textproto"));
}

TEST(CheckConfig, RangesAreInclusive) {
  EXPECT_EQ(Error("n_point=1"), "");
  EXPECT_EQ(Error("n_point=65536"), "");
  EXPECT_EQ(Error("n_point=0"), "field n_point: got \"0\", expected an integer in [1, 65536]");
  EXPECT_EQ(Error("n_point=65537"), "field n_point: got \"65537\", expected an integer in [1, 65536]");
  EXPECT_EQ(Error("big=1000000000000001"),
            "field big: got \"1000000000000001\", expected an integer <= 1e+15");
  EXPECT_EQ(Error("scale=10.5"), "field scale: got \"10.5\", expected a number <= 10");
  EXPECT_EQ(Error("rate=-1e-9"), "field rate: got \"-1e-09\", expected a number >= 0");
  EXPECT_EQ(Error("ratios=0.5,1.5"), "field ratios[1]: got \"1.5\", expected a number in [0, 1]");
}

TEST(CheckConfig, Choices) {
  EXPECT_EQ(Error("mode=slow"), "");
  EXPECT_EQ(Error("mode=fastest"), "field mode: got \"fastest\", expected one of fast, slow");
  EXPECT_EQ(Error("mode="), "field mode: got \"\", expected one of fast, slow");
  EXPECT_EQ(Error("modes=a,c"), "field modes[1]: got \"c\", expected one of a, b");
}

TEST(CheckConfig, RequiredFields) {
  TestConfig config;
  EXPECT_EQ(CheckConfig(config).message(), "field root is required: give root=..., a string");
  config.set_root("");
  EXPECT_EQ(CheckConfig(config).message(), "field root is required: give root=..., a string");
  config.set_root("r");
  EXPECT_EQ(CheckConfig(config).message(), "field inputs is required: give inputs=..., a string");
  config.add_inputs("i");
  EXPECT_TRUE(CheckConfig(config).ok());
  config.mutable_part()->set_weight(1);
  EXPECT_TRUE(absl::StrContains(CheckConfig(config).message(), "field part.name is required"));
  config.mutable_part()->set_name("n");
  config.add_parts()->set_name("p");
  config.add_parts()->set_name("q");
  config.mutable_parts(1)->set_weight(-1);
  EXPECT_EQ(CheckConfig(config).message(), "field parts[1].weight: got \"-1\", expected a number >= 0");
}

TEST(CheckConfig, FilesCannotSmuggleNan) {
  TestConfig config;
  ASSERT_TRUE(MergeConfigText("root: 'r' inputs: 'i' rate: nan", "f", &config).ok());
  EXPECT_EQ(CheckConfig(config).message(), "field rate: got \"nan\", expected a number >= 0");
  config.set_rate(INFINITY);
  EXPECT_EQ(CheckConfig(config).message(), "field rate: got \"inf\", expected a number >= 0");
}

TEST(MergeConfigText, LaterOnesWin) {
  TestConfig config;
  ASSERT_TRUE(
      MergeConfigText("n_point: 3 seed: 5 names: 'a' names: 'b' part { name: 'x' weight: 2 }", "one", &config)
          .ok());
  ASSERT_TRUE(MergeConfigText("# comment\nn_point: 4 names: 'c' part { weight: 3 }", "two", &config).ok());
  EXPECT_EQ(config.n_point(), 4);
  EXPECT_EQ(config.seed(), 5);
  ASSERT_EQ(config.names_size(), 1);
  EXPECT_EQ(config.names(0), "c");
  EXPECT_EQ(config.part().name(), "x");
  EXPECT_EQ(config.part().weight(), 3);
}

TEST(MergeConfigText, ErrorsNameThePlace) {
  TestConfig config;
  const auto error = [&config](const std::string& text) {
    return std::string(MergeConfigText(text, "c.textproto", &config).message());
  };
  EXPECT_EQ(
      error("seed: 1\nn_points: 3"),
      "c.textproto:2:9: Message type \"manyform.TestConfig\" has no field named \"n_points\"; did you mean "
      "n_point?");
  EXPECT_TRUE(absl::StrContains(error("part { wieght: 3 }"), "did you mean weight?"));
  EXPECT_TRUE(absl::StartsWith(error("n_point: 'x'"), "c.textproto:1:10: "));
  EXPECT_TRUE(absl::StartsWith(error("n_point: 1 n_point: 2"), "c.textproto:1:"));
  EXPECT_TRUE(absl::StartsWith(error("part {"), "c.textproto:1:"));
  EXPECT_FALSE(config.has_n_point());
}

TEST(FormatNumber, ReadsBack) {
  EXPECT_EQ(FormatNumber(0.1), "0.1");
  EXPECT_EQ(FormatNumber(1e-6), "1e-06");
  EXPECT_EQ(FormatNumber(65536), "65536");
  EXPECT_EQ(FormatNumber(1234567), "1234567");
  for (const double value : {1.0 / 3, 5e-324, 1.7976931348623157e308, -0.30000000000000004}) {
    EXPECT_EQ(strtod(FormatNumber(value).c_str(), nullptr), value);
  }
}

TEST(NearestName, FewestEdits) {
  EXPECT_EQ(NearestName("bach", {"batch", "branch", "b"}), "batch");
  EXPECT_EQ(NearestName("", {"abc", "d"}), "d");
  EXPECT_EQ(NearestName("x", {}), "");
}

TEST(ListConfigFields, DotsAndLists) {
  std::vector<std::string> paths;
  for (const ConfigField& field : ListConfigFields(*TestConfig::descriptor())) paths.push_back(field.path);
  EXPECT_EQ(paths.front(), "root");
  EXPECT_NE(std::find(paths.begin(), paths.end(), "part.weight"), paths.end());
  EXPECT_NE(std::find(paths.begin(), paths.end(), "parts[].weight"), paths.end());
}

TEST(FindResultFileField, FindsTheMark) {
  EXPECT_EQ(FindResultFileField(*TestConfig::descriptor())->name(), "output");
  EXPECT_EQ(FindResultFileField(*TestPart::descriptor()), nullptr);
}

}  // namespace
}  // namespace manyform

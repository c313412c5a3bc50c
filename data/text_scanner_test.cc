#include "data/text_scanner.h"

#include <cmath>
#include <cstring>
#include <random>

#include "gtest/gtest.h"

namespace manyform {
namespace {

double ScanNumber(const std::string& text) {
  double value = -1;
  EXPECT_TRUE(TextScanner(text).Number(&value)) << text;
  return value;
}

void ExpectSameBits(const std::string& text) {
  const double got = ScanNumber(text), want = strtod(text.c_str(), nullptr);
  EXPECT_EQ(memcmp(&got, &want, sizeof(got)), 0) << text << ": " << got << " " << want;
}

TEST(Number, RoundsAsStrtod) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const uint64_t bits = random();
    double value;
    memcpy(&value, &bits, sizeof(value));
    if (!std::isfinite(value)) continue;
    char text[64];
    for (const char* format : {"%.17g", "%.6f", "%.9e", "%.25g"}) {
      snprintf(text, sizeof(text), format, i % 2 == 0 ? value : std::remainder(value, 1000.0));
      ExpectSameBits(text);
    }
  }
  for (const char* text : {"1e400", "-1e400", "1e-400", "4.9e-324", "2.4e-324", "+1.5", "-0", "1.", ".5",
                           "9007199254740993", "0.1e1", "inf", "-Infinity"}) {
    ExpectSameBits(text);
  }
  EXPECT_TRUE(std::isnan(ScanNumber("nan")));
}

TEST(Number, RefusesWhatIsNone) {
  for (const char* text : {"", "x", "1x", "+-1", "1,5", "--1", "#1", "1/2", "\n1"}) {
    double value;
    EXPECT_FALSE(TextScanner(text).Number(&value)) << text;
  }
}

TEST(TextScanner, LinesCommentsAndContinuations) {
  TextScanner scan("a  b # c\r\n\t\\\n d\\\r\ne\rf");
  EXPECT_EQ(scan.Word(), "a");
  EXPECT_EQ(scan.Word(), "b");
  EXPECT_TRUE(scan.AtLineEnd());
  EXPECT_EQ(scan.Word(), "");
  EXPECT_EQ(scan.line(), 1);
  scan.NextLine();
  EXPECT_EQ(scan.line(), 2);
  double value;
  EXPECT_FALSE(scan.Number(&value));
  EXPECT_EQ(scan.line(), 3);
  EXPECT_TRUE(scan.Eat('d'));
  EXPECT_TRUE(scan.AtTokenEnd());
  EXPECT_EQ(scan.Word(), "e");
  EXPECT_EQ(scan.line(), 4);
  scan.NextLine();
  EXPECT_EQ(scan.Word(), "f");
  EXPECT_EQ(scan.line(), 5);
  EXPECT_TRUE(scan.AtEnd());
}

TEST(RestOfLine, IsTrimmed) {
  TextScanner scan("usemtl  dark wood \nx");
  EXPECT_EQ(scan.Word(), "usemtl");
  EXPECT_EQ(scan.RestOfLine(), "dark wood");
}

}  // namespace
}  // namespace manyform

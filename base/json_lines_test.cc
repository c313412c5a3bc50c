#include "base/json_lines.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/numpy_random.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

class JsonLinesTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = absl::StrCat(testing::TempDir(), "/",
                         testing::UnitTest::GetInstance()->current_test_info()->name(), ".jsonl");
    unlink(path_.c_str());
  }
  std::string path_;
};

TEST_F(JsonLinesTest, OneLineARow) {
  ASSERT_TRUE(AppendJsonLine(path_, {{"step", int64_t{1}}, {"loss", 0.5}, {"note", "a \"b\"\n"}}).ok());
  ASSERT_TRUE(AppendJsonLine(path_, {}).ok());
  EXPECT_EQ(*ReadFile(path_), "{\"step\": 1, \"loss\": 0.5, \"note\": \"a \\\"b\\\"\\n\"}\n{}\n");
}

TEST_F(JsonLinesTest, ReadsBackWhatItWrote) {
  NumpyRandomState random(3);
  std::vector<JsonRow> rows;
  for (int r = 0; r < 50; ++r) {
    JsonRow row = {{"step", random.RandInt(std::numeric_limits<int64_t>::min(), r)},
                   {"loss", random.Normal() * std::pow(10, random.RandInt(-300, 300))},
                   {"whole", 3.0},
                   {"text", std::string(r, static_cast<char>(r))}};
    ASSERT_TRUE(AppendJsonLine(path_, row).ok());
    rows.push_back(row);
  }
  EXPECT_EQ(*ReadJsonLines(path_), rows);
}

TEST_F(JsonLinesTest, NonFiniteNumbersAreStrings) {
  ASSERT_TRUE(AppendJsonLine(path_, {{"a", NAN}, {"b", INFINITY}, {"c", -INFINITY}}).ok());
  EXPECT_EQ(ReadJsonLines(path_)->at(0), (JsonRow{{"a", "nan"}, {"b", "inf"}, {"c", "-inf"}}));
}

TEST_F(JsonLinesTest, BytesThatAreNotUtf8) {
  ASSERT_TRUE(AppendJsonLine(path_, {{"path",
                                      "a\xff"
                                      "b"}})
                  .ok());
  EXPECT_EQ(std::get<std::string>(ReadJsonLines(path_)->at(0)[0].second),
            "a\xEF\xBF\xBD"
            "b");
}

TEST_F(JsonLinesTest, ATornLineIsDroppedAndOverwritten) {
  for (const size_t torn : {size_t{1}, size_t{9}, size_t{10000}}) {
    ASSERT_TRUE(WriteFileAtomically(path_, "{\"a\": 1}\n" + std::string(torn, '{')).ok());
    EXPECT_EQ(ReadJsonLines(path_)->size(), 1);
    ASSERT_TRUE(AppendJsonLine(path_, {{"a", int64_t{2}}}).ok());
    EXPECT_EQ(*ReadFile(path_), "{\"a\": 1}\n{\"a\": 2}\n");
  }
  ASSERT_TRUE(WriteFileAtomically(path_, "{\"a\"").ok());
  EXPECT_TRUE(ReadJsonLines(path_)->empty());
  ASSERT_TRUE(AppendJsonLine(path_, {{"a", int64_t{2}}}).ok());
  EXPECT_EQ(*ReadFile(path_), "{\"a\": 2}\n");
}

TEST_F(JsonLinesTest, MalformedLinesAreNamed) {
  for (const char* bad : {"", "[]", "3", "{\"a\": null}", "{\"a\": true}", "{\"a\": [1]}", "{\"a\": {}}",
                          "{\"a\" 1}", "{\"a\": 1e999}", "{\"a\": NaN}", "{} {}", "{\"a\": 1,}"}) {
    const absl::Status status =
        ParseJsonLines(absl::StrCat("{\"a\": 1}\n", bad, "\n{}\n"), "x.jsonl").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_TRUE(absl::StartsWith(status.message(), "x.jsonl:2: ")) << status;
  }
  EXPECT_EQ(ReadJsonLines(path_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(JsonLinesTest, LargeIntegersBecomeDoubles) {
  const auto rows = ParseJsonLines("{\"a\": 9223372036854775807, \"b\": 9223372036854775808}\n", "x").value();
  EXPECT_EQ(rows[0], (JsonRow{{"a", std::numeric_limits<int64_t>::max()}, {"b", 9223372036854775808.0}}));
}

TEST_F(JsonLinesTest, NoRoomLeavesWholeLines) {
  ASSERT_TRUE(AppendJsonLine(path_, {{"a", std::string(400, 'x')}}).ok());
  const std::string before = *ReadFile(path_);
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit;
  getrlimit(RLIMIT_FSIZE, &old_limit);
  rlimit limit = old_limit;
  limit.rlim_cur = 500;
  setrlimit(RLIMIT_FSIZE, &limit);
  const absl::Status status = AppendJsonLine(path_, {{"a", std::string(400, 'y')}});
  setrlimit(RLIMIT_FSIZE, &old_limit);
  signal(SIGXFSZ, old_handler);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*ReadFile(path_), before);
}

TEST_F(JsonLinesTest, AFolderThatIsNotThere) {
  const absl::Status status = AppendJsonLine("/nowhere/at/all.jsonl", {});
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(absl::StrContains(status.message(), "/nowhere/at/all.jsonl"));
}

}  // namespace
}  // namespace manyform

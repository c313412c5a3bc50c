#include "base/result_writer.h"

#include <cmath>
#include <limits>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "base/files.h"
#include "base/testing/test_config.pb.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

using google::protobuf::util::MessageDifferencer;

TestRecordResult Measured() {
  TestRecordResult result;
  result.mutable_provenance()->set_binary("cook");
  ResultRecord& record = *result.mutable_record();
  record.set_stage("ucpr");
  const auto set = [&record](const char* name, const char* json) {
    Setting& setting = *record.add_settings();
    setting.set_name(name);
    setting.set_json(json);
  };
  set("pooling", "\"mean_a\"");
  set("n_point", "256");
  set("tie_break_eps", "1e-6");
  set("flag", "true");
  set("none", "null");
  set("list", "[1, {\"a\": \"two\\nlines NaN\"}]");
  set("bare", "NaN");
  const auto measure = [&record](const char* name, double value) {
    Metric& metric = *record.add_metrics();
    metric.set_name(name);
    metric.set_value(value);
  };
  measure("r@1", 0.1 + 0.2);
  measure("mrr", 1);
  measure("empty", NAN);
  measure("high", INFINITY);
  measure("low", -std::numeric_limits<double>::infinity());
  return result;
}

TEST(ResultWriter, ReadsBackWhatItWrote) {
  for (const char* ending : {".binpb", ".textproto", ".json"}) {
    const std::string path = testing::TempDir() + "/result" + ending;
    ASSERT_TRUE(WriteResult(path, Measured()).ok()) << ending;
    TestRecordResult back;
    back.mutable_record()->set_label("is gone after reading");
    const absl::Status status = ReadResult(path, &back);
    ASSERT_TRUE(status.ok()) << status;
    // NaN differs from itself: compared as the bytes they are.
    EXPECT_EQ(back.SerializeAsString(), Measured().SerializeAsString()) << ending;
  }
}

TEST(ResultWriter, PlainMessages) {
  TestResult result;
  result.set_total(1LL << 60);
  result.add_findings("é \"quoted\"");
  for (const char* ending : {".binpb", ".textproto", ".json"}) {
    const std::string path = testing::TempDir() + "/plain" + ending;
    ASSERT_TRUE(WriteResult(path, result).ok());
    TestResult back;
    ASSERT_TRUE(ReadResult(path, &back).ok()) << ending;
    EXPECT_TRUE(MessageDifferencer::Equals(back, result)) << ending;
  }
}

TEST(ResultWriter, RecordsAreFlatUnderPublishedNames) {
  const std::string text = FormatResult(Measured(), ResultFormat::kJson).value();
  EXPECT_TRUE(absl::StartsWith(text, "{\n  \"pooling\": \"mean_a\",\n  \"n_point\": 256,\n")) << text;
  EXPECT_TRUE(absl::StrContains(text, "\n  \"bare\": NaN,\n")) << text;
  EXPECT_TRUE(absl::StrContains(text, "\n  \"r@1\": 0.30000000000000004,\n  \"mrr\": 1.0,\n")) << text;
  EXPECT_TRUE(absl::StrContains(
      text, "\n  \"empty\": NaN,\n  \"high\": Infinity,\n  \"low\": -Infinity,\n  \"manyform\": {\n"))
      << text;
  // As Python reads it: with the bare numbers it is JSON to everyone.
  const auto json = nlohmann::json::parse(absl::StrReplaceAll(
      text, {{": NaN", ": 1"}, {": Infinity", ": 2"}, {": -Infinity", ": 3"}, {"lines NaN", "lines NaN"}}));
  EXPECT_EQ(json["list"][1]["a"], "two\nlines NaN");
  EXPECT_EQ(json["tie_break_eps"], 1e-6);
  EXPECT_EQ(json["flag"], true);
  EXPECT_TRUE(json["none"].is_null());
  EXPECT_EQ(json["manyform"]["record"]["stage"], "ucpr");
  EXPECT_EQ(json["manyform"]["provenance"]["binary"], "cook");
  EXPECT_EQ(json.size(), 13);
}

TEST(ResultWriter, RefusesSettingsThatAreNotJson) {
  for (const char* bad : {"", "mean_a", "{", "1 2", "nan"}) {
    TestRecordResult result = Measured();
    result.mutable_record()->mutable_settings(0)->set_json(bad);
    const std::string path = testing::TempDir() + "/bad.json";
    const absl::Status status = WriteResult(path, result);
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << bad;
    EXPECT_TRUE(absl::StrContains(status.message(), "pooling") && absl::StrContains(status.message(), path));
    EXPECT_FALSE(FileExists(path));
  }
}

TEST(ResultWriter, RefusesTwoKeysAlike) {
  for (const char* name : {"pooling", "r@1", "manyform"}) {
    TestRecordResult result = Measured();
    result.mutable_record()->mutable_metrics(1)->set_name(name);
    EXPECT_EQ(FormatResult(result, ResultFormat::kJson).status().code(), absl::StatusCode::kInternal) << name;
  }
}

TEST(ResultWriter, DottedNamesAreMembersOfAnObject) {
  TestRecordResult result;
  ResultRecord& record = *result.mutable_record();
  const auto measure = [&record](const char* name, double value) {
    Metric& metric = *record.add_metrics();
    metric.set_name(name);
    metric.set_value(value);
  };
  measure("near.mae", 0.5);
  measure("rmse", 2);
  measure("near.iou@tau", NAN);
  Setting& setting = *record.add_settings();
  setting.set_name("near.n");
  setting.set_json("3");
  const auto text = FormatResult(result, ResultFormat::kJson);
  ASSERT_TRUE(text.ok()) << text.status();
  const auto json = nlohmann::ordered_json::parse(absl::StrReplaceAll(*text, {{"NaN", "null"}}));
  EXPECT_EQ(json["near"], nlohmann::ordered_json::parse(R"({"n": 3, "mae": 0.5, "iou@tau": null})"));
  EXPECT_EQ(json["rmse"], 2);
  EXPECT_EQ(json.size(), 3);
  TestRecordResult back;
  ASSERT_TRUE(ParseResult(*text, ResultFormat::kJson, &back).ok());
  EXPECT_EQ(back.SerializeAsString(), result.SerializeAsString());
  measure("near", 1);
  EXPECT_FALSE(FormatResult(result, ResultFormat::kJson).ok()) << "an object and a number of one name";
}

TEST(ResultWriter, TwoDotsAreTwoObjectsAndMoreAreAName) {
  TestRecordResult result;
  for (const char* name : {"mesh.n", "mesh.summary.mean", "mesh.summary.f@0.05", "mesh.last"}) {
    Metric& metric = *result.mutable_record()->add_metrics();
    metric.set_name(name);
    metric.set_value(0.5);
  }
  const nlohmann::json json = nlohmann::json::parse(*FormatResult(result, ResultFormat::kJson));
  EXPECT_EQ(json["mesh"]["n"], 0.5);
  EXPECT_EQ(json["mesh"]["summary"]["mean"], 0.5);
  EXPECT_EQ(json["mesh"]["summary"]["f@0.05"], 0.5);
  EXPECT_EQ(json["mesh"]["last"], 0.5);
}

TEST(ResultWriter, UnknownEndings) {
  for (const char* path : {"result", "result.yaml", "json", "result.json.gz", ""}) {
    EXPECT_EQ(WriteResult(path, TestResult()).code(), absl::StatusCode::kInvalidArgument) << path;
    TestResult result;
    EXPECT_EQ(ReadResult(path, &result).code(), absl::StatusCode::kInvalidArgument) << path;
  }
}

TEST(ReadResult, DamagedFilesAreNamed) {
  const std::string bytes = FormatResult(Measured(), ResultFormat::kBinary).value();
  const std::pair<std::string, std::string> cases[] = {
      {"cut.binpb", bytes.substr(0, bytes.size() - 1)},
      {"cut.textproto", "record { stage: 'x'"},
      {"cut.json", "{\"manyform\": {"},
      {"other.json", "{\"rows\": 3}"},
      {"list.json", "[1, 2]"},
      {"number.json", "{\"manyform\": 3}"},
      {"deep.json", std::string(100000, '[')},
      {"deeper.json", "{\"manyform\": " + std::string(200, '[') + std::string(200, ']') + "}"},
      {"empty.json", ""},
  };
  for (const auto& [name, content] : cases) {
    const std::string path = testing::TempDir() + "/" + name;
    ASSERT_TRUE(WriteFileAtomically(path, content).ok());
    TestRecordResult result;
    const absl::Status status = ReadResult(path, &result);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_TRUE(absl::StrContains(status.message(), path)) << status;
  }
  TestRecordResult result;
  EXPECT_EQ(ReadResult(testing::TempDir() + "/none.json", &result).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace manyform

#include "eval/record.h"

#include <cmath>
#include <limits>
#include <string>

#include "gtest/gtest.h"

namespace manyform {
namespace {

RecordBuilder Sample(double eps = 1e-6) {
  RecordBuilder builder("ucpr");
  builder.Protocol("query_backend", "mesh").Protocol("n_files", 40).Protocol("tie_break_eps", eps);
  return builder;
}

TEST(RecordBuilder, KeepsOrderAndWritesJson) {
  const ResultRecord record = Sample()
                                  .Protocol("ablate", false)
                                  .Note("ckpt", "runs/a \"b\"/last.safetensors")
                                  .NoteJson("baseline", "null")
                                  .Metric("r@1", 0.5)
                                  .Finish("a", "split", "checkpoint", "float32");
  const char* expected[][2] = {{"query_backend", "\"mesh\""},
                               {"n_files", "40"},
                               {"tie_break_eps", "1e-06"},
                               {"ablate", "false"},
                               {"ckpt", "\"runs/a \\\"b\\\"/last.safetensors\""},
                               {"baseline", "null"}};
  ASSERT_EQ(record.settings_size(), 6);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(record.settings(i).name(), expected[i][0]);
    EXPECT_EQ(record.settings(i).json(), expected[i][1]);
  }
  EXPECT_EQ(record.stage(), "ucpr");
  EXPECT_EQ(record.checkpoint_hash(), "checkpoint");
  EXPECT_EQ(MetricOr(record, "r@1", 9), 0.5);
  EXPECT_EQ(MetricOr(record, "r@5", 9), 9);
  EXPECT_EQ(SettingOf(record, "n_files"), "40");
  EXPECT_EQ(SettingOf(record, "nothing"), "");
}

TEST(RecordBuilder, SignatureIsTheProtocolAndNothingElse) {
  const auto sign = [](const RecordBuilder& builder, const char* label, const char* split, const char* hash,
                       const char* precision) {
    return builder.Finish(label, split, hash, precision).protocol_signature();
  };
  const std::string base = sign(Sample(), "a", "s", "c", "float32");
  EXPECT_EQ(base.size(), 64);
  EXPECT_EQ(base, sign(Sample().Note("ckpt", "x").Metric("r@1", 1), "b", "s", "other", "float32"));
  EXPECT_NE(base, sign(Sample(), "a", "s2", "c", "float32"));
  EXPECT_NE(base, sign(Sample(), "a", "s", "c", "bfloat16"));
  EXPECT_NE(base, sign(Sample(1e-5), "a", "s", "c", "float32"));
  EXPECT_NE(base, sign(Sample().Protocol("mc_k", 1), "a", "s", "c", "float32"));
}

TEST(LabelOf, IsTheRunFolder) {
  EXPECT_EQ(LabelOf("runs/nepa_s0/last.safetensors"), "nepa_s0");
  EXPECT_EQ(LabelOf("/a/b/./ckpt_ep001.safetensors"), "b");
  EXPECT_EQ(LabelOf("a//last.safetensors"), "a");
  EXPECT_EQ(LabelOf("last.safetensors"), "last");
}

}  // namespace
}  // namespace manyform

#include "base/provenance.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/testing/test_config.pb.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

TestConfig Base() {
  TestConfig config;
  config.set_root("r");
  config.add_parts()->set_name("p");
  return config;
}

TEST(FillDefaults, MakesDeclaredDefaultsExplicit) {
  TestConfig config = Base();
  config.set_seed(5);
  FillDefaults(&config);
  EXPECT_TRUE(config.has_n_point());
  EXPECT_EQ(config.n_point(), 256);
  EXPECT_EQ(config.seed(), 5);
  EXPECT_EQ(config.rate(), 1e-6);
  EXPECT_TRUE(config.has_flag() && config.flag());
  EXPECT_EQ(config.mode(), "fast");
  EXPECT_TRUE(config.has_mode());
  EXPECT_TRUE(config.has_colour());
  EXPECT_TRUE(config.parts(0).has_weight());
  EXPECT_FALSE(config.has_unset_means_something());
  EXPECT_FALSE(config.has_part());
  EXPECT_FALSE(config.has_root() && config.root().empty());
}

TEST(ConfigFingerprint, OnlyWhatCanChangeTheProduct) {
  const std::string base = ConfigFingerprint(Base());
  EXPECT_EQ(base.size(), 64);
  TestConfig same = Base();
  same.set_n_point(256);
  same.set_num_threads(8);
  same.set_output("elsewhere.json");
  same.mutable_parts(0)->set_scratch("/tmp");
  EXPECT_EQ(ConfigFingerprint(same), base);

  TestConfig other = Base();
  other.set_n_point(255);
  EXPECT_NE(ConfigFingerprint(other), base);
  other = Base();
  other.mutable_parts(0)->set_weight(2);
  EXPECT_NE(ConfigFingerprint(other), base);
  other = Base();
  other.set_unset_means_something(0);
  EXPECT_NE(ConfigFingerprint(other), base);
}

TEST(ConfigFingerprint, TypesDiffer) {
  // Both serialise to nothing.
  EXPECT_NE(ConfigFingerprint(TestResult()), ConfigFingerprint(TestRecordResult()));
}

TEST(CollectProvenance, SaysEverything) {
  NoteInput("b/manifest.binpb", "beef");
  NoteInput("a.safetensors", "f00d");
  NoteInput("a.safetensors", "cafe");
  NoteSeed("model", 17);
  const Provenance made = CollectProvenance("cook", Base());
  EXPECT_EQ(made.binary(), "cook");
  EXPECT_EQ(made.git_commit(), "unknown");
  EXPECT_EQ(made.config_fingerprint(), ConfigFingerprint(Base()));
  TestConfig effective;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(made.config(), &effective));
  EXPECT_EQ(effective.root(), "r");
  EXPECT_TRUE(effective.has_n_point());
  ASSERT_EQ(made.inputs_size(), 2);
  EXPECT_EQ(made.inputs(0).path(), "a.safetensors");
  EXPECT_EQ(made.inputs(0).fingerprint(), "cafe");
  EXPECT_EQ(made.inputs(1).path(), "b/manifest.binpb");
  ASSERT_EQ(made.seeds_size(), 1);
  EXPECT_EQ(made.seeds(0).seed(), 17);
  EXPECT_FALSE(made.host().empty());
  EXPECT_GT(made.wall_seconds(), 0);
  EXPECT_GT(made.cpu_seconds(), 0);
  EXPECT_GT(made.peak_memory_bytes(), 1 << 20);
  absl::Time finished;
  ASSERT_TRUE(absl::ParseTime("%Y-%m-%dT%H:%M:%SZ", made.finished_at(), &finished, nullptr));
  EXPECT_LT(absl::AbsDuration(absl::Now() - finished), absl::Minutes(1));
}

}  // namespace
}  // namespace manyform

#include "eval/embed.h"

#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/strings/match.h"
#include "base/config.h"
#include "data/npz.h"
#include "eval/golden_for_test.h"
#include "eval/record.h"
#include "eval/ucpr.h"
#include "gtest/gtest.h"
#include "proto/tokens.pb.h"

namespace manyform {
namespace {

class EmbedTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { EnterGoldenFolder(); }
  void SetUp() override {
    config_.set_cache_root("c40");
    config_.set_split("test");
    config_.set_ckpt(WriteGoldenCheckpoint("qa", testing::TempDir()));
    config_.set_output(testing::TempDir() + "/test.npz");
    config_.set_num_threads(1);
  }
  EmbeddedShapes Split() const {
    LoadedModel model = ValueOrDie(LoadEmbedder(config_));
    return ValueOrDie(EmbedSplit(config_, &model));
  }
  EmbedConfig config_;
};

double Furthest(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max<double>(worst, std::abs(a[i] - b[i]));
  return worst;
}

TEST_F(EmbedTest, WritesVectorsClassesAndKeys) {
  config_.set_max_files(7);
  const EmbedResult result = ValueOrDie(Embed(config_));
  EXPECT_EQ(result.shapes(), 7);
  EXPECT_EQ(result.classes(), 5);
  EXPECT_EQ(result.record().label(), "qa");
  const EmbeddedShapes written = ValueOrDie(ReadEmbeddings(config_.output()));
  EXPECT_EQ(written.size(), 7);
  EXPECT_EQ(written.features, result.features());
  EXPECT_EQ(written.class_names, (std::vector<std::string>{"ball", "box", "ell", "pill", "ring"}));
  for (int64_t i = 0; i < written.size(); ++i)
    EXPECT_TRUE(absl::StartsWith(written.keys[i], written.class_names[written.labels[i]] + "/"));
  EXPECT_EQ(written.record.SerializeAsString(), result.record().SerializeAsString());
  EXPECT_EQ(written.embedding, Split().embedding);
  config_.set_output("test.npy");
  EXPECT_TRUE(IsBadConfig(Embed(config_).status()));
}

TEST_F(EmbedTest, UnitVectorsAreRetrievals) {
  for (const char* pooling : {"eos", "mean_a", "mean_zhat"}) {
    UcprConfig ucpr;
    ucpr.set_cache_root("c40");
    ucpr.set_split("test");
    ucpr.set_ckpt(config_.ckpt());
    ucpr.set_query_backend("mesh");
    ucpr.set_gallery_backend("udfgrid");
    ucpr.set_pooling(pooling);
    ucpr.set_mc_k(2);
    const auto shapes = std::make_shared<const ShapeList>(ValueOrDie(ShapeList::Open("c40", "test")));
    LoadedModel model = ValueOrDie(LoadModel(config_.ckpt()));
    UcprTrace trace;
    ValueOrDie(MeasureUcpr(ucpr, shapes, &model, &trace));
    config_.set_pooling(pooling == std::string("mean_a") ? "ucpr_mean_a" : pooling);
    config_.set_normalize(true);
    config_.set_mc_k(2);
    config_.set_backend("udfgrid");
    const float* gallery = trace.gallery.const_data_ptr<float>();
    EXPECT_LT(Furthest(Split().embedding, {gallery, gallery + trace.gallery.numel()}), 1e-6) << pooling;
  }
}

TEST_F(EmbedTest, ResamplesAreAveraged) {
  config_.set_pooling("mean_a");
  config_.set_mc_k(2);
  const std::vector<float> both = Split().embedding;
  config_.set_mc_k(1);
  const EmbeddedShapes first = Split();
  // Resample k has the seed of eval_seed + 1000003 k.
  config_.set_eval_seed(1000003);
  const std::vector<float> second = Split().embedding;
  std::vector<float> mean;
  for (size_t i = 0; i < both.size(); ++i) mean.push_back((first.embedding[i] + second[i]) / 2);
  EXPECT_LT(Furthest(both, mean), 1e-5);
  EXPECT_GT(Furthest(first.embedding, second), 1e-3);
}

TEST_F(EmbedTest, SignatureAndVectorsFollowTheOptions) {
  config_.set_max_files(2);
  std::set<std::string> signatures = {Split().record.protocol_signature()};
  const std::vector<float> vectors = Split().embedding;
  const char* overrides[] = {"backend=udfgrid",
                             "pooling=mean",
                             "causal=0",
                             "n_point=20",
                             "normalize=1",
                             "eval_seed=3",
                             "mc_k=2",
                             "pt_sample_mode=fps",
                             "add_eos=0",
                             "force_missing_ray=1",
                             "ablate_point_xyz=1",
                             "ablate_point_dist=1",
                             "precision=bf16"};
  for (const char* argument : overrides) {
    const EmbedConfig before = config_;
    ASSERT_TRUE(ApplyOverride(argument, &config_).ok()) << argument;
    ASSERT_TRUE(CheckConfig(config_).ok()) << argument;
    const EmbeddedShapes changed = Split();
    EXPECT_TRUE(signatures.insert(changed.record.protocol_signature()).second) << argument;
    EXPECT_GT(Furthest(changed.embedding, vectors), 0) << argument;
    config_ = before;
  }
  config_.set_batch(1);
  config_.set_num_workers(2);
  const EmbeddedShapes same = Split();
  EXPECT_FALSE(signatures.insert(same.record.protocol_signature()).second);
  EXPECT_LT(Furthest(same.embedding, vectors), 1e-5);
}

// What data:dump_tokens can sample, these can.
TEST_F(EmbedTest, EveryOptionOfTokensIsThere) {
  const std::set<std::string> not_ours = {"cache_root",  "split",         "output",    "mc_eval_k",
                                          "qa_layout",   "drop_ray_prob", "max_files", "eval_seed",
                                          "num_threads", "record"};
  const auto& options = *DumpTokensConfig::descriptor();
  for (int i = 0; i < options.field_count(); ++i) {
    const std::string& name = options.field(i)->name();
    if (not_ours.contains(name)) continue;
    for (const auto* type : {EmbedConfig::descriptor(), ClassifyConfig::descriptor()})
      EXPECT_NE(type->FindFieldByName(name), nullptr) << type->name() << " " << name;
  }
}

}  // namespace
}  // namespace manyform

#include "eval/probe.h"

#include <cmath>
#include <numeric>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/numpy_random.h"
#include "eval/record.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

// Clusters of deviation 1, `apart` from the origin along axes of their own.
EmbeddedShapes Clusters(int64_t classes, int64_t each, double apart, const std::string& split) {
  NumpyRandomState random(static_cast<uint32_t>(split.size()));
  EmbeddedShapes shapes = {.features = 8};
  for (int64_t c = 0; c < classes; ++c) {
    shapes.class_names.push_back(absl::StrCat("c", c));
    for (int64_t i = 0; i < each; ++i) {
      shapes.labels.push_back(c);
      shapes.keys.push_back(absl::StrCat("c", c, "/", split, i));
      for (int64_t f = 0; f < shapes.features; ++f)
        shapes.embedding.push_back(static_cast<float>(random.Normal() + (f == c ? apart : 0)));
    }
  }
  shapes.record = RecordBuilder("embed").Protocol("backend", "mesh").Finish("run", split, "ckpt", "f32");
  return shapes;
}

ProbeConfig Config(const std::string& method) {
  ProbeConfig config;
  config.set_method(method);
  config.set_num_threads(1);
  return config;
}

ProbeResult Measure(const ProbeConfig& config, const EmbeddedShapes& fitted, const EmbeddedShapes& asked) {
  const absl::StatusOr<ProbeResult> result = MeasureProbe(config, fitted, asked);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.value_or(ProbeResult());
}

std::string Error(const ProbeConfig& config, const EmbeddedShapes& fitted, const EmbeddedShapes& asked) {
  return std::string(MeasureProbe(config, fitted, asked).status().message());
}

TEST(MeasureProbe, SeparableClustersAreAllRight) {
  const EmbeddedShapes fitted = Clusters(4, 12, 20, "train"), asked = Clusters(4, 7, 20, "test");
  for (const char* method : {"svm", "knn"}) {
    for (const bool standardize : {false, true}) {
      ProbeConfig config = Config(method);
      config.set_standardize(standardize);
      const ProbeResult result = Measure(config, fitted, asked);
      ASSERT_EQ(result.scores_size(), method == std::string("svm") ? 1 : 3);
      for (const ProbeScore& score : result.scores()) {
        // Twenty neighbours outnumber the twelve of a class, but not by others of one class.
        EXPECT_EQ(score.accuracies(0), 1) << score.name();
        for (int64_t i = 0; i < 16; ++i) EXPECT_EQ(score.confusion(static_cast<int>(i)), i % 5 == 0 ? 7 : 0);
        EXPECT_EQ(score.classes(2).accuracy(), 1);
        EXPECT_EQ(MetricOr(result.record(), score.name() + "_acc", NAN), 1);
      }
    }
  }
}

TEST(MeasureProbe, ConstantEmbeddingsAreChance) {
  EmbeddedShapes fitted = Clusters(4, 6, 20, "train"), asked = Clusters(4, 5, 20, "test");
  std::fill(fitted.embedding.begin(), fitted.embedding.end(), 0.7f);
  std::fill(asked.embedding.begin(), asked.embedding.end(), 0.7f);
  for (const char* method : {"svm", "knn"}) {
    const ProbeResult result = Measure(Config(method), fitted, asked);
    for (const ProbeScore& score : result.scores()) EXPECT_EQ(score.accuracies(0), 0.25) << score.name();
  }
}

TEST(MeasureProbe, LabelsAreMatchedByName) {
  const EmbeddedShapes fitted = Clusters(3, 9, 20, "train");
  EmbeddedShapes asked = Clusters(3, 5, 20, "test");
  std::swap(asked.class_names[0], asked.class_names[2]);
  for (int64_t& label : asked.labels) label = 2 - label;
  EXPECT_EQ(Measure(Config("svm"), fitted, asked).scores(0).accuracies(0), 1);
  asked.class_names[1] = "sofa";
  EXPECT_TRUE(absl::StrContains(Error(Config("svm"), fitted, asked), "'sofa'"));
}

TEST(MeasureProbe, EpisodesAreAveraged) {
  const EmbeddedShapes fitted = Clusters(7, 30, 2, "train"), asked = Clusters(7, 30, 2, "test");
  ProbeConfig config = Config("svm");
  config.set_svm_c(0.1);
  config.set_fewshot_n_way(5);
  config.set_fewshot_k(10);
  config.set_n_query(20);
  config.set_episodes(8);
  const ProbeResult result = Measure(config, fitted, asked);
  const ProbeScore& score = result.scores(0);
  ASSERT_EQ(score.accuracies_size(), 8);
  double sum = 0, squares = 0;
  for (const double accuracy : score.accuracies()) sum += accuracy;
  for (const double accuracy : score.accuracies()) squares += std::pow(accuracy - sum / 8, 2);
  EXPECT_NEAR(MetricOr(result.record(), "svm_acc", NAN), sum / 8, 1e-12);
  EXPECT_NEAR(MetricOr(result.record(), "svm_acc_std", NAN), std::sqrt(squares / 8), 1e-12);
  EXPECT_GT(squares, 0);
  EXPECT_GT(sum / 8, 0.4);
  EXPECT_EQ(SettingOf(result.record(), "chance"), "0.2");
  EXPECT_EQ(std::accumulate(score.confusion().begin(), score.confusion().end(), int64_t{0}), 8 * 5 * 20);
  // The second episode is the first of the next seed.
  config.set_fewshot_seed(1);
  config.set_episodes(1);
  EXPECT_EQ(Measure(config, fitted, asked).scores(0).accuracies(0), score.accuracies(1));
}

TEST(MeasureProbe, ShotsMayComeFromTheTestedSplit) {
  const EmbeddedShapes shapes = Clusters(3, 8, 20, "all");
  ProbeConfig config = Config("knn");
  EXPECT_TRUE(absl::StrContains(Error(config, shapes, shapes), "fewshot_k"));
  config.set_fewshot_k(3);
  config.add_knn_k(1);
  const ProbeResult result = Measure(config, shapes, shapes);
  EXPECT_EQ(result.scores(0).accuracies(0), 1);
  EXPECT_EQ(SettingOf(result.record(), "num_test"), "15");
}

TEST(MeasureProbe, SignatureKnowsTheProtocolNotTheModel) {
  const EmbeddedShapes fitted = Clusters(3, 8, 5, "train"), asked = Clusters(3, 8, 5, "test");
  const auto signature = [&](const ProbeConfig& config, const EmbeddedShapes& a, const EmbeddedShapes& b) {
    return Measure(config, a, b).record().protocol_signature();
  };
  ProbeConfig config = Config("knn");
  const std::string own = signature(config, fitted, asked);
  EmbeddedShapes other_fitted = fitted, other_asked = asked;
  other_fitted.record.set_checkpoint_hash("other");
  other_asked.record.set_checkpoint_hash("other");
  EXPECT_EQ(signature(config, other_fitted, other_asked), own);
  EXPECT_TRUE(absl::StrContains(Error(config, fitted, other_asked), "checkpoints"));
  config.add_knn_k(3);
  config.set_fewshot_seed(4);
  EXPECT_EQ(signature(config, fitted, asked), own) << "each k has a column of its own, seeds share one";
  std::set<std::string> others = {own};
  config.set_knn_metric("euclid");
  others.insert(signature(config, fitted, asked));
  config.set_fewshot_k(5);
  others.insert(signature(config, fitted, asked));
  other_asked = asked;
  other_asked.record.set_protocol_signature("through another backend");
  others.insert(signature(config, fitted, other_asked));
  other_asked.record.set_split_hash("of other shapes");
  others.insert(signature(config, fitted, other_asked));
  EXPECT_EQ(others.size(), 5);
}

TEST(MeasureProbe, ThreadsDoNotShow) {
  const EmbeddedShapes fitted = Clusters(3, 20, 1, "train"), asked = Clusters(3, 20, 1, "test");
  ProbeConfig many = Config("svm");
  many.set_num_threads(3);
  EXPECT_EQ(Measure(Config("svm"), fitted, asked).SerializeAsString(),
            Measure(many, fitted, asked).SerializeAsString());
}

TEST(Probe, WhatDoesNotGoTogetherIsABadConfig) {
  ProbeConfig config;
  EXPECT_TRUE(IsBadConfig(Probe(config).status())) << "nothing to probe";
  config.set_train("a.npz");
  EXPECT_TRUE(IsBadConfig(Probe(config).status())) << "no test";
  config.set_test("b.npz");
  EXPECT_EQ(Probe(config).status().code(), absl::StatusCode::kNotFound);
  config.mutable_embed()->set_ckpt("x");
  EXPECT_TRUE(IsBadConfig(Probe(config).status())) << "both";
  config.clear_train();
  config.clear_test();
  config.mutable_embed()->set_output("x.npz");
  EXPECT_TRUE(IsBadConfig(Probe(config).status())) << "not written";
  const EmbeddedShapes fitted = Clusters(3, 8, 5, "train");
  EmbeddedShapes asked = Clusters(3, 8, 5, "test");
  config = Config("svm");
  config.set_episodes(3);
  EXPECT_TRUE(IsBadConfig(MeasureProbe(config, fitted, asked).status())) << "nothing to draw";
  config.set_fewshot_k(1);
  EXPECT_TRUE(absl::StrContains(Error(config, fitted, asked), "svm_c")) << "nothing to cross-validate with";
  asked.features = 4;
  asked.embedding.resize(asked.size() * 4);
  EXPECT_TRUE(absl::StrContains(Error(Config("knn"), fitted, asked), "8 features, test 4"));
}

}  // namespace
}  // namespace manyform

// What training leaves behind, probed: a classifier tested again gives the accuracy it was given, and
// embeddings go from program to program.
#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/result_writer.h"
#include "eval/classify.h"
#include "eval/embedding_file.h"
#include "gtest/gtest.h"
#include "proto/probe.pb.h"
#include "proto/train.pb.h"
#include "train/finetune.h"
#include "train/pretrain.h"
#include "train/testing/program.h"
#include "train/testing/synthetic_cache.h"

namespace manyform {
namespace {

template <class Result>
double Metric(const Result& result, const std::string& name) {
  for (const auto& metric : result.record().metrics())
    if (metric.name() == name) return metric.value();
  ADD_FAILURE() << "no " << name;
  return -1;
}

// 3 classes of 8 shapes to train on, of 6 to test on, and a small model of them.
class ProbesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::filesystem::remove_all(Base());
    WriteSyntheticSplit({.root = Cache(), .shapes_per_class = 8}, "train");
    WriteSyntheticSplit({.root = Cache(), .shapes_per_class = 6, .seed = 9}, "test");
    PretrainConfig config;
    config.set_cache_root(Cache());
    config.set_save_dir(Base() + "/pretrained");
    config.set_batch(8);
    config.set_epochs(4);
    config.set_n_point(24);
    config.set_n_ray(8);
    config.set_d_model(24);
    config.set_layers(2);
    config.set_heads(2);
    config.set_lr(1e-3);
    config.set_qa_tokens(true);
    config.set_num_threads(1);
    ASSERT_TRUE(Pretrain(config).ok());
  }
  static std::string Base() { return testing::TempDir() + "/probes"; }
  static std::string Cache() { return Base() + "/cache"; }
  static std::string Pretrained() { return Base() + "/pretrained/last.safetensors"; }

  static FinetuneConfig Config(const std::string& run) {
    FinetuneConfig config;
    config.set_cache_root(Cache());
    config.set_ckpt(Pretrained());
    config.set_save_dir(absl::StrCat(Base(), "/", run));
    config.set_batch(4);
    config.set_epochs(20);
    config.set_lr(5e-3);
    config.set_pt_sample_mode_train("fps");
    config.set_num_threads(1);
    return config;
  }
  static ClassifyResult ClassifyAgain(const std::string& ckpt) {
    ClassifyConfig config;
    config.set_ckpt(ckpt);
    config.set_num_threads(1);
    const auto result = Classify(config);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.value_or(ClassifyResult());
  }
  // Trains, tests what is left in `file` again, and expects the same numbers. \returns the classes named
  static int ExpectSame(const FinetuneConfig& config, const std::string& file) {
    const FinetuneResult trained = Finetune(config).value();
    const ClassifyResult again = ClassifyAgain(absl::StrCat(config.save_dir(), "/", file));
    EXPECT_EQ(Metric(trained, "test_acc"), Metric(again, "acc"));
    const int classes = trained.classes_size();
    EXPECT_EQ(classes, again.classes_size());
    EXPECT_EQ(again.confusion_size(), classes * classes);
    std::set<int> named;
    for (int i = 0; i < std::min(trained.confusion_size(), again.confusion_size()); ++i) {
      EXPECT_EQ(trained.confusion(i), again.confusion(i)) << i;
      if (again.confusion(i) > 0) named.insert(i % classes);
    }
    for (int i = 0; i < std::min(classes, again.classes_size()); ++i)
      EXPECT_EQ(trained.classes(i).SerializeAsString(), again.classes(i).SerializeAsString());
    return static_cast<int>(named.size());
  }
  static int Run(const std::string& program, const std::vector<std::string>& arguments) {
    return WaitForProgram(StartProgram(program, arguments, Base() + "/log.txt"));
  }
};

TEST_F(ProbesTest, AClassifierTestedAgainGivesItsTestAccuracy) {
  // Validation chooses the tested epoch; without it, that is the last one.
  FinetuneConfig chosen = Config("chosen");
  chosen.set_val_ratio(0.25);
  EXPECT_GE(ExpectSame(chosen, "best.safetensors"), 2);

  FinetuneConfig other = Config("other");
  other.set_val_ratio(0);
  other.set_backend("pointcloud_noray");
  other.set_eval_backend("voxel");
  other.set_voxel_grid(16);
  other.set_mc_eval_k(3);
  other.set_mc_eval_k_test(2);
  other.set_eval_seed(4);
  other.set_pt_sample_mode_eval("random");
  other.set_n_point(20);
  other.set_cls_pooling("mean");
  other.set_cls_is_causal(true);
  EXPECT_GE(ExpectSame(other, "last.safetensors"), 2);

  FinetuneConfig scratch = Config("scratch");
  scratch.clear_ckpt();
  scratch.set_val_ratio(0);
  scratch.set_n_point(16);
  scratch.set_n_ray(8);
  scratch.set_d_model(16);
  scratch.set_layers(1);
  scratch.set_heads(2);
  scratch.set_epochs(4);
  scratch.set_precision("bf16");
  ExpectSame(scratch, "last.safetensors");
}

TEST_F(ProbesTest, EmbeddingsGoFromProgramToProgram) {
  const std::string common = absl::StrCat("cache_root=", Cache());
  for (const std::string split : {"train", "test"}) {
    ASSERT_EQ(Run("eval/embed", {common, "split=" + split, "ckpt=" + Pretrained(), "pooling=mean_a",
                                 "num_threads=1", absl::StrCat("output=", Base(), "/", split, ".npz"),
                                 absl::StrCat("record=", Base(), "/", split, ".json")}),
              0)
        << ReadFile(Base() + "/log.txt").value();
  }
  EXPECT_EQ(ReadEmbeddings(Base() + "/train.npz")->size(), 24);
  const std::vector<std::string> files = {absl::StrCat("train=", Base(), "/train.npz"),
                                          absl::StrCat("test=", Base(), "/test.npz")};
  const auto probe = [&](std::vector<std::string> arguments, const std::string& name) {
    arguments.insert(arguments.end(), {"num_threads=1", absl::StrCat("output=", Base(), "/", name)});
    EXPECT_EQ(Run("eval/probe", arguments), 0) << ReadFile(Base() + "/log.txt").value();
    ProbeResult result;
    EXPECT_TRUE(ReadResult(absl::StrCat(Base(), "/", name), &result).ok());
    return result;
  };
  const auto with_files = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), files.begin(), files.end());
    return arguments;
  };
  const ProbeResult svm = probe(with_files({"standardize=1"}), "svm.json");
  EXPECT_EQ(svm.record().label(), "pretrained");
  const ProbeResult knn = probe(with_files({"method=knn", "knn_k=1,3"}), "knn.binpb");
  // How well tokens tell classes apart hangs on their seeds, and these on the path of the cache.
  for (const char* name : {"knn@1_acc", "knn@3_acc"}) EXPECT_GE(Metric(knn, name), 0) << name;
  const ProbeResult episodes =
      probe(with_files({"svm_c=1", "fewshot_n_way=2", "fewshot_k=5", "n_query=4", "episodes=10"}),
            "episodes.textproto");
  EXPECT_EQ(episodes.scores(0).accuracies_size(), 10);

  // Embedded on the way: the same numbers and the same protocol.
  const ProbeResult direct = probe({"standardize=1", "embed." + common, "embed.ckpt=" + Pretrained(),
                                    "embed.pooling=mean_a", "embed.num_threads=1"},
                                   "direct.json");
  EXPECT_EQ(direct.scores(0).SerializeAsString(), svm.scores(0).SerializeAsString());
  EXPECT_EQ(direct.record().SerializeAsString(), svm.record().SerializeAsString());

  ASSERT_EQ(Run("eval/table", {absl::StrCat("inputs=", Base(), "/svm.json,", Base(), "/knn.binpb,", Base(),
                                            "/episodes.textproto"),
                               absl::StrCat("csv=", Base(), "/table.csv")}),
            0)
      << ReadFile(Base() + "/log.txt").value();
  const std::string csv = ReadFile(Base() + "/table.csv").value();
  EXPECT_TRUE(absl::StrContains(csv, "pretrained,knn@3 mesh,")) << csv;
  EXPECT_TRUE(absl::StrContains(csv, "pretrained,svm 2-way K=5 mesh,")) << csv;
}

}  // namespace
}  // namespace manyform

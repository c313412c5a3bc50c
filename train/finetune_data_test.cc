#include "train/finetune_data.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/config.h"
#include "base/files.h"
#include "data/finetune_splits.h"
#include "gtest/gtest.h"
#include "train/testing/golden_finetune.h"
#include "train/testing/synthetic_cache.h"

namespace manyform {
namespace {

using Json = nlohmann::json;

const std::string kFolder = "testdata/golden/f_eval/";

Json Published() { return Json::parse(ReadFile("testdata/golden/g_finetune/finetune.json").value()); }

// The published command line, word for word but for the folders and loader processes.
FinetuneConfig ConfigOfRun(const Json& published, const Json& run) {
  std::vector<std::string> words = absl::StrSplit(published["base_args"].get<std::string>(), ' ');
  for (const Json& word : run["args"]) words.push_back(word);
  FinetuneConfig config;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string name = words[i].substr(2);
    const bool is_switch = i + 1 == words.size() || absl::StartsWith(words[i + 1], "--");
    std::string value = is_switch ? "1" : words[++i];
    if (name == "num_workers" || name == "ckpt") continue;
    if (name == "cache_root") value = kFolder + value;
    EXPECT_TRUE(ApplyOverride(absl::StrCat(name, "=", value), &config).ok()) << name;
  }
  return config;
}

// "c40/train/ball/s_01.npz" of the published lists is ours below testdata. Some lists are left out there.
void ExpectSameShapes(const LabelledShapes& ours, const Json& published, const Json& count) {
  EXPECT_EQ(ours.shapes.size(), count);
  for (size_t i = 0; i < published.size(); ++i)
    EXPECT_EQ(ours.dataset.shapes->path(ours.shapes[i]), kFolder + published[i].get<std::string>());
}

void ExpectSameSettings(const LabelledShapes& ours, const std::string& sampling, int64_t resamples,
                        const Json& published) {
  const TokenOptions& tokens = ours.dataset.tokens;
  EXPECT_EQ(tokens.n_point, published["n_point"]);
  EXPECT_EQ(tokens.n_ray, published["n_ray"]);
  EXPECT_EQ(BackendName(ours.dataset.backend.backend), published["backend"].get<std::string>());
  EXPECT_EQ(tokens.layout.qa_tokens ? 1 : 0, published["qa_tokens"]);
  EXPECT_EQ(tokens.layout.qa_layout == QaLayout::kSplit ? "split" : "interleave", published["qa_layout"]);
  EXPECT_EQ(sampling, published["pt_sample_mode"]);
  EXPECT_EQ(tokens.sampling, ParsePointSampling(sampling).value());
  EXPECT_EQ(resamples, published["mc"]);
}

TEST(FinetuneDataTest, PicksAndSettingsAreThePublishedOnes) {
  const Json published = Published();
  int runs = 0;
  for (const Json& run : published["runs"]) {
    const FinetuneConfig config = ConfigOfRun(published, run);
    if (config.cache_root() != kFolder + "c40") continue;
    SCOPED_TRACE(run["name"]);
    const FinetunePlan plan = GoldenPlan(config);
    const FinetuneData data = OpenFinetuneData(plan).value();
    ExpectSameShapes(data.train, run["train"], run["n_train"]);
    ExpectSameShapes(data.validation, run["val"], run["n_val"]);
    ExpectSameShapes(data.test, run["test"], run["n_test"]);
    const Json& settings = run["dataset_settings"];
    ExpectSameSettings(data.train, plan.config.pt_sample_mode_train(), 1, settings[0]);
    ExpectSameSettings(data.validation, plan.config.pt_sample_mode_eval(), plan.config.mc_eval_k_val(),
                       settings[1]);
    ExpectSameSettings(data.test, plan.config.pt_sample_mode_eval(), plan.config.mc_eval_k_test(),
                       settings[2]);
    for (const LabelledShapes* part : {&data.train, &data.validation, &data.test})
      for (size_t i = 0; i < part->shapes.size(); ++i)
        EXPECT_EQ(data.class_names[part->labels[i]],
                  part->dataset.shapes->entry(part->shapes[i]).class_name());
    ++runs;
  }
  EXPECT_EQ(runs, 9);
}

// Of a cache that is not here: the run with all shapes lists them.
TEST(FinetuneDataTest, PicksFromTheOtherCacheAreThePublishedOnes) {
  const Json published = Published();
  std::vector<std::string> all;
  for (const Json& run : published["runs"])
    if (run["name"] == "easy_full_seed0")
      for (const char* part : {"train", "val"})
        for (const Json& path : run[part]) all.push_back(path);
  std::sort(all.begin(), all.end());
  std::vector<LabelledPath> paths;
  for (const std::string& path : all)
    paths.push_back({std::filesystem::path(path).parent_path().filename(), path});
  const auto expect_picked = [&](const std::vector<int64_t>& ours, const Json& theirs) {
    ASSERT_EQ(ours.size(), theirs.size());
    for (size_t i = 0; i < ours.size(); ++i) EXPECT_EQ(all[ours[i]], theirs[i]);
  };
  int runs = 0;
  for (const Json& run : published["runs"]) {
    if (!absl::StartsWith(run["name"].get<std::string>(), "easy_")) continue;
    SCOPED_TRACE(run["name"]);
    const FinetuneConfig config = ConfigOfRun(published, run);
    const TrainValidation split = SplitValidation(paths, config.val_ratio(), config.val_seed()).value();
    expect_picked(split.validation, run["val"]);
    expect_picked(PickShots(paths, split.train, config.fewshot_k(), config.fewshot_seed()).value(),
                  run["train"]);
    ++runs;
  }
  EXPECT_EQ(runs, 9);
}

TEST(FinetuneDataTest, OptionsOfTrainingAndOfTest) {
  FinetuneConfig config = GoldenConfig();
  config.set_eval_backend("pointcloud_noray");
  config.set_pt_sample_mode_train("fps");
  config.set_drop_ray_prob_train(0.5);
  config.set_aug_preset("scanobjectnn");
  config.set_aug_jitter_sigma(0.01);
  config.set_aug_jitter_clip(0.05);
  config.set_include_pt_grad(true);
  config.set_ablate_point_dist(true);
  config.set_pt_dist_key("pt_dist_udf_pool");
  config.set_pt_fps_key("auto");
  const FinetuneData data = OpenFinetuneData(GoldenPlan(config)).value();
  EXPECT_EQ(data.train.dataset.backend.backend, Backend::kMesh);
  EXPECT_EQ(data.validation.dataset.backend.backend, Backend::kPointcloudNoray);
  EXPECT_EQ(data.test.dataset.backend.backend, Backend::kPointcloudNoray);
  EXPECT_EQ(data.train.dataset.tokens.sampling, PointSampling::kFps);
  EXPECT_EQ(data.train.dataset.tokens.drop_ray_prob, 0.5);
  EXPECT_EQ(data.test.dataset.tokens.drop_ray_prob, 0);
  for (const LabelledShapes* part : {&data.train, &data.validation, &data.test}) {
    const auto& [shapes, backend, tokens] = part->dataset;
    EXPECT_EQ(backend.xyz_key, "pt_xyz_pool");
    EXPECT_EQ(backend.dist_key, "pt_dist_udf_pool");
    EXPECT_EQ(backend.fps_key, "auto");
    EXPECT_TRUE(tokens.augment.rotate_z && tokens.gradient.include && tokens.ablate_point_dist);
    EXPECT_EQ(tokens.augment.jitter_clip, 0.05);
    EXPECT_FALSE(tokens.augment.in_eval);
  }
}

TEST(FinetuneDataTest, MoreClassesThanThereAreCannotBePicked) {
  FinetuneConfig config = GoldenConfig();
  config.set_fewshot_n_way(6);
  const absl::Status status = OpenFinetuneData(GoldenPlan(config)).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "n_way is 6")) << status;
}

TEST(FinetuneDataTest, ATestedClassMustBeTrained) {
  const std::string root = testing::TempDir() + "/finetune_classes";
  std::filesystem::remove_all(root);
  WriteSyntheticSplit({.root = root, .shapes_per_class = 1}, "test");
  std::filesystem::create_directories(root + "/train");
  std::filesystem::copy(root + "/test/ball", root + "/train/ball");
  std::filesystem::remove(root + "/manifest.binpb");
  FinetuneConfig config;
  config.set_cache_root(root);
  config.set_n_point(4);
  config.set_n_ray(2);
  const absl::Status status = OpenFinetuneData(PlanFinetune(config, nullptr).value()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "class 'box'")) << status;
}

}  // namespace
}  // namespace manyform

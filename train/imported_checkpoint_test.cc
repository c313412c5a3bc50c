// Training goes on from a checkpoint of the published system, once it is imported.
#include <ATen/ATen.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "model/checkpoint.h"
#include "model/import_checkpoint.h"
#include "model/safetensors.h"
#include "train/corpus.h"
#include "train/objectives.h"
#include "train/pretrain.h"
#include "train/pretrain_state.h"
#include "train/testing/small_pretrain.h"

namespace manyform {
namespace {

const std::string kGolden = "testdata/golden/e_model/";

// nepa_dual_last.pt as ours: its path.
std::string Imported() {
  ImportCheckpointConfig config;
  config.set_input(kGolden + "train/nepa_dual_last.pt");
  config.set_output(testing::TempDir() + "/imported.safetensors");
  return ImportCheckpoint(config).value().checkpoint();
}

nlohmann::json Published(const std::string& run) {
  return nlohmann::json::parse(ReadFile(kGolden + "train/train.json").value())[run];
}

// As the published runs "resume_..." were called.
PretrainConfig PublishedConfig(int32_t max_len) {
  PretrainConfig config;
  config.set_n_point(8);
  config.set_n_ray(7);
  config.set_d_model(48);
  config.set_layers(2);
  config.set_heads(6);
  config.set_qa_tokens(true);
  config.set_seed(5);
  config.set_max_len(max_len);
  config.set_batch(4);
  config.set_epochs(2);
  config.set_resume_pos_emb_moments("drop");
  return config;
}

void ExpectPublishedLosses(const std::string& run, const PretrainConfig& config) {
  Corpus corpus;
  corpus.draws_per_epoch = 8;
  absl::StatusOr<PretrainState> state =
      ResumedPretrainState(config, corpus, /*longest=*/32, c10::kCPU, Imported(), /*same_run=*/false);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->at.epoch, 1);
  EXPECT_EQ(state->at.step, 5);
  EXPECT_EQ(state->at.batch, 0);
  const NamedTensors tensors = ReadSafeTensors(kGolden + "batches.safetensors").value().tensors;
  const std::map<std::string, at::Tensor> batches(tensors.begin(), tensors.end());
  const std::vector<double> losses = Published(run)["losses"];
  ASSERT_EQ(losses.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const std::string name = i == 0 ? "qa" : "qa_mixed";
    state->optimizer.ClearGradients();
    const at::Tensor loss =
        NepaLoss(state->model, batches.at(name + "/feat"), batches.at(name + "/type").to(at::kLong));
    EXPECT_NEAR(loss.item<double>(), losses[i], 1e-5) << run << " step " << i;
    loss.backward();
    state->optimizer.Step();
  }
}

TEST(ImportedCheckpointTest, TheNextStepsAreThePublishedOnes) {
  ExpectPublishedLosses("resume_same", PublishedConfig(64));
}

TEST(ImportedCheckpointTest, AlsoWithMorePositions) {
  ExpectPublishedLosses("resume_len96", PublishedConfig(96));
}

TEST(ImportedCheckpointTest, WithoutItsOptimizerTheyAreOthers) {
  // So the losses above do see the optimizer's state.
  PretrainConfig config = PublishedConfig(64);
  config.set_resume_optimizer(false);
  Corpus corpus;
  corpus.draws_per_epoch = 8;
  const PretrainState state = ResumedPretrainState(config, corpus, 32, c10::kCPU, Imported(), false).value();
  Checkpoint saved;
  state.optimizer.Save(&saved);
  EXPECT_EQ(saved.exp_avg[0].second.abs().max().item<float>(), 0);
}

using ImportedRun = SmallPretrain;

TEST_F(ImportedRun, TheProgramGoesOnFromIt) {
  PretrainConfig config = Config("run");
  config.set_d_model(48);
  config.set_heads(6);
  config.set_max_len(64);
  config.set_resume(Imported());
  const auto result = Pretrain(config);
  ASSERT_TRUE(result.ok()) << result.status();
  // One epoch of two was done there, in five steps; three batches are one here.
  EXPECT_EQ(result->epochs(), 2);
  EXPECT_EQ(result->steps(), 8);
  const Checkpoint last = ReadCheckpoint(Last(config)).value();
  for (const auto& [name, step] : last.step) EXPECT_EQ(step.item<float>(), 8) << name;
}

}  // namespace
}  // namespace manyform

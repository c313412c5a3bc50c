#include "train/pretrain_objective.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "gtest/gtest.h"
#include "model/checkpoint.h"
#include "model/safetensors.h"
#include "train/optimizer.h"
#include "train/process_group.h"

namespace manyform {
namespace {

using Json = nlohmann::json;

const std::string kGolden = "testdata/golden/e_model/";
constexpr int64_t kPointsAndRays = 15;

NamedTensors Tensors(const std::string& name) {
  return ReadSafeTensors(kGolden + name + ".safetensors").value().tensors;
}

// The published teacher as a checkpoint of ours.
std::string Teacher() {
  Checkpoint checkpoint;
  SetSizes({.d_model = 48, .layers = 2, .heads = 6, .n_types = 9, .max_len = 80}, &checkpoint.header);
  checkpoint.model = Tensors("weights/teacher_len80");
  std::string path = testing::TempDir() + "/teacher.safetensors";
  EXPECT_TRUE(WriteCheckpoint(path, checkpoint).ok());
  return path;
}

// From the published command line, word for word.
PretrainConfig PublishedConfig(const Json& run) {
  PretrainConfig config;
  config.set_d_model(48);
  config.set_layers(2);
  config.set_heads(6);
  config.set_n_point(8);
  config.set_n_ray(7);
  const Json& args = run["args"];
  for (size_t i = 0; i + 1 < args.size(); i += 2) {
    const std::string name = args[i].get<std::string>().substr(2);
    const std::string value = name == "teacher_ckpt" ? Teacher() : args[i + 1].get<std::string>();
    EXPECT_TRUE(ApplyOverride(absl::StrCat(name, "=", value), &config).ok()) << name;
  }
  if (config.arch() == "encdec") config.set_qa_tokens(true);
  return config;
}

QueryTransformer ModelOf(const PretrainConfig& config) {
  TransformerConfig sizes = {.d_model = 48, .layers = 2, .heads = 6, .n_types = 9, .max_len = 64};
  std::string name = "causal9";
  if (!config.qa_tokens()) {
    sizes.n_types = 5;
    name = "causal5";
  }
  if (config.arch() == "encdec") {
    sizes.arch = Architecture::kEncoderDecoder;
    sizes.topology = {.k = config.topo_k(), .ray_place = ParseRayPlace(config.topo_ray_coord()).value()};
    name = "encdec9";
  }
  return QueryTransformer::FromTensors(sizes, Tensors("weights/" + name)).value();
}

std::vector<std::string> BatchesOf(const PretrainConfig& config) {
  if (config.arch() == "encdec") return {"split", "split_mixed", "split", "split_mixed", "split"};
  if (!config.qa_tokens()) return {"legacy", "legacy_mixed", "legacy", "legacy_mixed", "legacy"};
  return {"qa", "qa_mixed", "qa", "qa_mixed", "qa_noray"};
}

NamedTensors HeadsOf(const PretrainConfig& config) {
  NamedTensors heads;
  for (auto& [name, tensor] : Tensors("weights/aux_heads_init")) {
    const bool distance = absl::StartsWith(name, "point_dist"), embedded = absl::StartsWith(name, "e_point");
    if ((distance && config.aux_b3_weight() > 0) || (embedded && config.aux_e_weight() > 0))
      heads.emplace_back(name, tensor);
  }
  return heads;
}

// Of a process by itself.
LossTerms LossOf(const PretrainObjective& objective, const QueryTransformer& model, const at::Tensor& feat,
                 const at::Tensor& type_id, int64_t batch, int64_t total) {
  ProcessGroup alone;
  const BatchPart all = {.size = feat.size(0)};
  return objective.Loss(model, objective.Prepare(feat, type_id, batch, total, all, &alone).value(), 0,
                        all.size);
}

class PublishedLosses : public testing::TestWithParam<std::string> {};

// Runs that draw nothing but dual masks, whose generator is published.
TEST_P(PublishedLosses, FollowFromTheConfig) {
  const Json run = Json::parse(std::ifstream(kGolden + "train/train.json"))[GetParam()];
  const PretrainConfig config = PublishedConfig(run);
  const QueryTransformer model = ModelOf(config);
  const auto steps = static_cast<int64_t>(run["losses"].size());
  const NamedTensors heads = HeadsOf(config);
  const PretrainObjective objective = PretrainObjective::Create(config, 64, steps, &heads, c10::kCPU).value();
  NamedTensors trained = model.parameters();
  trained.insert(trained.end(), objective.heads().begin(), objective.heads().end());
  AdamW optimizer(trained, {.lr = 3e-4, .weight_decay = 0.05});
  const NamedTensors arrays = Tensors("batches");
  const std::map<std::string, at::Tensor> batches(arrays.begin(), arrays.end());
  for (int64_t step = 0; step < steps; ++step) {
    const std::string batch = BatchesOf(config)[step];
    optimizer.ClearGradients();
    const LossTerms terms = LossOf(objective, model, batches.at(batch + "/feat"),
                                   batches.at(batch + "/type").to(at::kLong), step, kPointsAndRays);
    EXPECT_NEAR(terms.total.item<double>(), run["losses"][step], 1e-5) << step;
    EXPECT_EQ(terms.parts[0].first, "nepa");
    EXPECT_NEAR(terms.parts[0].second.item<double>(), run["main_losses"][step], 1e-5) << step;
    terms.total.backward();
    optimizer.Step();
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, PublishedLosses,
                         testing::Values("nepa", "nepa_dual", "nepa_dual_aware", "nepa_legacy", "nepa_encdec",
                                         "aux_b3", "aux_e", "aux_c0", "aux_d"),
                         [](const auto& info) { return info.param; });

TEST(PretrainObjective, WhatIsDrawnFollowsSeedAndBatchNumber) {
  PretrainConfig config;
  config.set_d_model(48);
  config.set_objective("mae");
  config.set_qa_tokens(true);
  const QueryTransformer model = ModelOf(config);
  const NamedTensors arrays = Tensors("batches");
  const std::map<std::string, at::Tensor> batches(arrays.begin(), arrays.end());
  const auto loss = [&](int64_t batch) {
    const PretrainObjective objective = PretrainObjective::Create(config, 64, 9, nullptr, c10::kCPU).value();
    return LossOf(objective, model, batches.at("qa/feat"), batches.at("qa/type").to(at::kLong), batch, 15)
        .total.item<double>();
  };
  const double first = loss(0);
  EXPECT_EQ(loss(0), first);
  EXPECT_NE(loss(1), first);
  config.set_seed(1);
  EXPECT_NE(loss(0), first);
}

// Every term at once, in parts of one, two and three sequences.
TEST(PretrainObjective, PartsOfABatchSumToIt) {
  const NamedTensors arrays = Tensors("batches");
  const std::map<std::string, at::Tensor> batches(arrays.begin(), arrays.end());
  for (const char* batch : {"qa", "qa_mixed", "qa_noray"}) {
    for (const char* objective_name : {"nepa", "mae"}) {
      PretrainConfig config;
      config.set_d_model(48);
      config.set_objective(objective_name);
      config.set_qa_tokens(true);
      config.set_dual_mask_near(0.4);
      config.set_dual_mask_far(0.1);
      config.set_dual_mask_warmup_frac(0);
      config.set_aux_b2_weight(0.3);
      config.set_aux_b3_weight(0.3);
      config.set_aux_e_weight(0.2);
      config.set_teacher_ckpt(Teacher());
      config.set_teacher_distill_weight(0.3);
      config.set_teacher_answer_drop_prob(0.3);
      config.set_cycle_weight(0.3);
      config.set_d_hard_weight(0.3);
      const QueryTransformer model = ModelOf(config);
      const PretrainObjective objective =
          PretrainObjective::Create(config, 64, 9, nullptr, c10::kCPU).value();
      NamedTensors trained = model.parameters();
      trained.insert(trained.end(), objective.heads().begin(), objective.heads().end());
      const at::Tensor feat = batches.at(absl::StrCat(batch, "/feat"));
      const at::Tensor type = batches.at(absl::StrCat(batch, "/type")).to(at::kLong);
      ProcessGroup alone;
      const PreparedBatch prepared =
          objective.Prepare(feat, type, 3, kPointsAndRays, {.size = feat.size(0)}, &alone).value();
      std::vector<std::vector<at::Tensor>> gradients;
      std::vector<double> values;
      for (const int64_t micro : {feat.size(0), int64_t{1}, int64_t{2}, int64_t{3}}) {
        double value = 0;
        for (const auto& [name, parameter] : trained) parameter.mutable_grad() = at::zeros_like(parameter);
        for (int64_t first = 0; first < feat.size(0); first += micro) {
          const at::Tensor loss =
              objective.Loss(model, prepared, first, std::min(micro, feat.size(0) - first)).total;
          value += loss.item<double>();
          loss.backward();
        }
        values.push_back(value);
        EXPECT_NEAR(value, values[0], 1e-5) << batch << " " << objective_name << " " << micro;
        gradients.emplace_back();
        for (const auto& [name, parameter] : trained) {
          gradients.back().push_back(parameter.grad().clone());
          const at::Tensor& whole = gradients[0][gradients.back().size() - 1];
          EXPECT_LT((parameter.grad() - whole).abs().max().item<double>(),
                    1e-5 + 1e-4 * whole.abs().max().item<double>())
              << name << " " << micro;
        }
      }
    }
  }
}

TEST(PretrainObjective, ATeacherOfOtherSizesIsRefused) {
  PretrainConfig config;
  config.set_d_model(24);
  config.set_qa_tokens(true);
  config.set_teacher_ckpt(Teacher());
  config.set_teacher_distill_weight(1);
  const absl::Status status = PretrainObjective::Create(config, 64, 9, nullptr, c10::kCPU).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "d_model 48")) << status;
}

}  // namespace
}  // namespace manyform

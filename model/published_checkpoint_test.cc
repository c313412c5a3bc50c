#include "model/published_checkpoint.h"

#include <ATen/ATen.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "model/testing/make_torch_file.h"

namespace manyform {
namespace {

using namespace pickled;  // NOLINT: opcodes by name

const char kLast[] = "testdata/golden/e_model/train/nepa_dual_last.pt";

std::string TestPath(const std::string& name) { return testing::TempDir() + "/published_" + name; }

const NamedTensors& Model() {
  static const auto& model = *new NamedTensors(
      FreshParameters({.d_model = 4, .layers = 1, .heads = 2, .n_types = 9, .max_len = 7}, 0).value());
  return model;
}
NamedTensors Heads() {
  return {{"ray_hit.weight", at::full({1, 4}, 0.5)}, {"ray_hit.bias", at::full({1}, 0.25)}};
}
const Code kArgs = Namespace({{Text("heads"), Int(2)}, {Text("n_point"), Int(5)}});

// The state of parameter `index` holds its index; step is 10 + index.
Code OptimizerOf(TorchFileMaker& maker, const NamedTensors& parameters) {
  Pairs states;
  std::vector<int64_t> indices;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    const at::Tensor full = at::full(parameters[i].second.sizes(), static_cast<float>(i));
    states.emplace_back(Int(index), Dict({{Text("step"), maker.Add(at::scalar_tensor(10.0F + index))},
                                          {Text("exp_avg"), maker.Add(full)},
                                          {Text("exp_avg_sq"), maker.Add(full + 1)}}));
    indices.push_back(index);
  }
  return Dict(
      {{Text("state"), Dict(states)},
       {Text("param_groups"), List({Dict({{Text("lr"), Float(0.5)}, {Text("params"), Ints(indices)}})})}});
}

absl::StatusOr<Checkpoint> Import(const TorchFileMaker& maker, const Code& root,
                                  std::vector<std::string>* remarks = nullptr,
                                  PublishedOptions options = {}) {
  maker.Write(TestPath("made.pt"), root);
  const absl::StatusOr<TorchFile> file = TorchFile::Open(TestPath("made.pt"));
  if (!file.ok()) return file.status();
  std::vector<std::string> unread;
  return CheckpointOfTorchFile("made.pt", *file, options, remarks == nullptr ? &unread : remarks);
}

at::Tensor Named(const NamedTensors& tensors, const std::string& name) {
  const std::map<std::string, at::Tensor> map(tensors.begin(), tensors.end());
  return map.at(name);
}

TEST(PublishedCheckpointTest, APublishedFileIsWhole) {
  const TorchFile file = TorchFile::Open(kLast).value();
  std::vector<std::string> remarks;
  const Checkpoint checkpoint = CheckpointOfTorchFile(kLast, file, {}, &remarks).value();
  EXPECT_TRUE(remarks.empty()) << remarks[0];
  const CheckpointHeader& header = checkpoint.header;
  EXPECT_EQ(header.epoch(), 1);
  EXPECT_EQ(header.step(), 5);
  EXPECT_EQ(header.d_model(), 48);
  EXPECT_EQ(header.heads(), 6);
  EXPECT_EQ(header.max_len(), 64);
  EXPECT_EQ(header.n_point(), 8);
  EXPECT_TRUE(header.qa_tokens());
  EXPECT_TRUE(absl::StrContains(header.config(), "dual_mask_near: 0.4\n")) << header.config();
  const auto args = nlohmann::json::parse(header.published_args());
  EXPECT_EQ(args.size(), 72u);
  EXPECT_EQ(args["save_last"], 1);
  const auto rest = nlohmann::json::parse(header.published_rest());
  EXPECT_EQ(rest["param_groups"][0]["betas"], (std::vector<double>{0.9, 0.999}));
  EXPECT_EQ(rest["epoch"], 0);
  // By name what is there by index.
  ASSERT_EQ(checkpoint.step.size(), 32u);
  const PickleValue& states = *file.root().Find("opt")->Find("state");
  const PickleValue& model = *file.root().Find("model");
  for (size_t i = 0; i < 32; ++i) {
    const std::string& name = model.items[2 * i]->text;
    EXPECT_TRUE(Named(checkpoint.model, name).equal(*file.TensorOf(*model.items[2 * i + 1]))) << name;
    const PickleValue& state = *states.items[2 * i + 1];
    EXPECT_TRUE(Named(checkpoint.exp_avg, name).equal(*file.TensorOf(*state.Find("exp_avg")))) << name;
    EXPECT_TRUE(Named(checkpoint.exp_avg_sq, name).equal(*file.TensorOf(*state.Find("exp_avg_sq")))) << name;
    EXPECT_EQ(Named(checkpoint.step, name).item<float>(), 5);
  }
  EXPECT_EQ(checkpoint.exp_avg[0].first, "pos_emb");
}

TEST(PublishedCheckpointTest, HeadsComeAfterTheModelInTheOptimizer) {
  TorchFileMaker maker;
  NamedTensors parameters = Model();
  for (const auto& head : Heads()) parameters.push_back(head);
  const Code root = Dict({{Text("model"), maker.Add(Model())},
                          {Text("aux_heads"), maker.Add(Heads())},
                          {Text("opt"), OptimizerOf(maker, parameters)},
                          {Text("args"), kArgs},
                          {Text("epoch"), Int(4)},
                          {Text("step"), Int(99)}});
  const Checkpoint checkpoint = Import(maker, root).value();
  EXPECT_EQ(checkpoint.header.epoch(), 5);
  EXPECT_EQ(checkpoint.header.step(), 99);
  EXPECT_EQ(checkpoint.header.n_point(), 5);
  EXPECT_TRUE(Named(checkpoint.aux_heads, "ray_hit.weight").equal(at::full({1, 4}, 0.5)));
  const size_t n = Model().size();
  ASSERT_EQ(checkpoint.exp_avg.size(), n + 2);
  EXPECT_EQ(Named(checkpoint.exp_avg, "type_emb.weight")[0][0].item<float>(), 1);
  EXPECT_EQ(Named(checkpoint.exp_avg, "aux_heads.ray_hit.bias").item<float>(), n + 1);
  EXPECT_EQ(Named(checkpoint.step, "aux_heads.ray_hit.weight").item<float>(), 10 + n);
  // The file itself, and back.
  ASSERT_TRUE(WriteCheckpoint(TestPath("ours.safetensors"), checkpoint).ok());
  EXPECT_EQ(HashTensors(ReadCheckpoint(TestPath("ours.safetensors")).value().exp_avg_sq),
            HashTensors(checkpoint.exp_avg_sq));
}

TEST(PublishedCheckpointTest, OptimizersThatDoNotFitAreRefused) {
  const auto error = [](const NamedTensors& parameters, bool optimizer = true) {
    TorchFileMaker maker;
    const Code root = Dict({{Text("model"), maker.Add(Model())},
                            {Text("opt"), OptimizerOf(maker, parameters)},
                            {Text("args"), kArgs}});
    std::vector<std::string> remarks;
    const absl::Status status = Import(maker, root, &remarks, {.optimizer = optimizer}).status();
    EXPECT_EQ(remarks.size(), optimizer ? 0u : 1u);
    return status;
  };
  EXPECT_TRUE(error(Model()).ok());
  NamedTensors fewer = Model();
  fewer.pop_back();
  EXPECT_TRUE(absl::StrContains(error(fewer).message(), "optimizer=false")) << error(fewer);
  EXPECT_TRUE(error(fewer, false).ok());
  NamedTensors other = Model();
  std::swap(other[0].second, other[1].second);
  EXPECT_TRUE(absl::StrContains(error(other).message(), "optimizer state of pos_emb is [9,4]"))
      << error(other);
}

TEST(PublishedCheckpointTest, OddOptimizerStates) {
  const auto error = [](const Pairs& state, const Code& index) {
    TorchFileMaker maker;
    std::vector<int64_t> indices(Model().size());
    for (size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<int64_t>(i);
    const Code optimizer = Dict({{Text("state"), Dict({{index, Dict(state)}})},
                                 {Text("param_groups"), List({Dict({{Text("params"), Ints(indices)}})})}});
    return Import(maker, Dict({{Text("model"), maker.Add(Model())},
                               {Text("optimizer"), optimizer},
                               {Text("args"), kArgs}}))
        .status();
  };
  EXPECT_TRUE(absl::StrContains(error({}, Int(0)).message(), "not AdamW's"));
  EXPECT_TRUE(absl::StrContains(error({}, Int(100)).message(), "state 100 of no parameter"));
  EXPECT_TRUE(absl::StrContains(error({{Text("max_exp_avg_sq"), None()}}, Int(0)).message(), "AMSGrad"));
  // A number of steps that is no tensor.
  TorchFileMaker maker;
  const Code head = maker.Add(Model().front().second);
  const Code optimizer =
      Dict({{Text("state"),
             Dict({{Int(7),
                    Dict({{Text("step"), Int(3)}, {Text("exp_avg"), head}, {Text("exp_avg_sq"), head}})}})},
            {Text("param_groups"), List({})}});
  EXPECT_FALSE(
      Import(maker,
             Dict({{Text("model"), maker.Add(Model())}, {Text("opt"), optimizer}, {Text("args"), kArgs}}))
          .ok());
}

TEST(PublishedCheckpointTest, HalfWeightsAreWidenedAndStridedOnesPacked) {
  TorchFileMaker maker;
  Pairs pairs;
  for (const auto& [name, tensor] : Model()) {
    const at::Tensor half = tensor.to(at::kHalf).contiguous();
    const std::string key = maker.Add({static_cast<const char*>(half.const_data_ptr()), half.nbytes()});
    const Code storage = Storage(Global("torch", "HalfStorage"), key, half.numel());
    // pred_head.weight is kept transposed.
    const bool transposed = name == "pred_head.weight";
    pairs.emplace_back(Text(name), Tensor(storage, 0, half.sizes().vec(),
                                          transposed ? half.t().strides().vec() : half.strides().vec()));
  }
  std::vector<std::string> remarks;
  const Checkpoint checkpoint =
      Import(maker, Dict({{Text("model"), Ordered(pairs)}, {Text("args"), kArgs}}), &remarks).value();
  EXPECT_EQ(remarks.size(), 1u);
  for (const auto& [name, tensor] : Model()) {
    const at::Tensor expected = tensor.to(at::kHalf).to(at::kFloat);
    EXPECT_TRUE(Named(checkpoint.model, name).equal(name == "pred_head.weight" ? expected.t() : expected))
        << name;
  }
}

TEST(PublishedCheckpointTest, BareStateDictsNeedArguments) {
  TorchFileMaker maker;
  const Code root = maker.Add(Model());
  EXPECT_TRUE(absl::StrContains(Import(maker, root).status().message(), "args=FILE.json"));
  const Checkpoint checkpoint = Import(maker, root, nullptr, {.args = R"({"heads": 2})"}).value();
  EXPECT_EQ(checkpoint.header.heads(), 2);
  EXPECT_EQ(checkpoint.header.epoch(), 0);
  const Code both = Dict({{Text("model"), root}, {Text("args"), kArgs}});
  EXPECT_TRUE(absl::StrContains(Import(maker, both, nullptr, {.args = "{}"}).status().message(), "its own"));
}

TEST(PublishedCheckpointTest, WhatHasNoPlaceHereIsSaid) {
  TorchFileMaker maker;
  std::vector<std::string> remarks;
  const Checkpoint checkpoint = Import(maker,
                                       Dict({{Text("model"), maker.Add(Model())},
                                             {Text("args"), kArgs},
                                             {Text("ema"), maker.Add(Heads())},
                                             {Text("note"), Text("kept")}}),
                                       &remarks)
                                    .value();
  EXPECT_EQ(remarks, (std::vector<std::string>{"tensors under 'ema' are left out"}));
  EXPECT_EQ(nlohmann::json::parse(checkpoint.header.published_rest()), nlohmann::json({{"note", "kept"}}));
}

TEST(PublishedCheckpointTest, OtherFilesAreRefused) {
  TorchFileMaker maker;
  const auto message = [&](const Code& root) {
    const absl::Status status = Import(maker, root).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  };
  NamedTensors fewer = Model();
  fewer.pop_back();
  EXPECT_TRUE(absl::StrContains(message(Dict({{Text("model"), maker.Add(fewer)}, {Text("args"), kArgs}})),
                                "made.pt: transformer: tensor 'pred_head.bias' is missing"));
  EXPECT_TRUE(absl::StrContains(
      message(
          Dict({{Text("model"), maker.Add(Model())}, {Text("args"), kArgs}, {Text("epoch"), Text("one")}})),
      "epoch is no counter"));
  EXPECT_TRUE(absl::StrContains(message(Dict({{Text("weights"), Int(3)}})), "'weights' is neither"));
  EXPECT_TRUE(absl::StrContains(message(List({})), "no state_dict"));
}

TEST(PublishedCheckpointTest, StateDictsInSafetensors) {
  const SafeTensors qa = ReadSafeTensors("testdata/golden/f_eval/ckpt/qa.safetensors").value();
  const std::string args = ReadFile("testdata/golden/f_eval/ckpt/qa.args.json").value();
  std::vector<std::string> remarks;
  const Checkpoint checkpoint = CheckpointOfStateDict("qa", qa, {.args = args}, &remarks).value();
  const Checkpoint torch =
      CheckpointOfTorchFile("qa", TorchFile::Open("testdata/golden/f_eval/ckpt/qa.pt").value(), {}, &remarks)
          .value();
  EXPECT_EQ(HashTensors(checkpoint.model), HashTensors(torch.model));
  CheckpointHeader expected = torch.header;
  expected.set_epoch(0);
  expected.set_step(0);
  expected.set_published_args(args);
  expected.clear_published_rest();
  EXPECT_EQ(checkpoint.header.DebugString(), expected.DebugString());

  const auto message = [&](const std::map<std::string, std::string>& metadata, const std::string& given) {
    return std::string(
        CheckpointOfStateDict("qa", {qa.tensors, metadata}, {.args = given}, &remarks).status().message());
  };
  EXPECT_TRUE(absl::StrContains(message({}, ""), "args=FILE.json"));
  EXPECT_TRUE(absl::StrContains(message({{"args", args}}, args), "its own"));
  EXPECT_TRUE(absl::StrContains(message({{"manyform", "{}"}}, args), "already"));
  EXPECT_TRUE(absl::StrContains(message({{"epoch", "x"}}, args), "epoch"));
  EXPECT_TRUE(absl::StrContains(message({{"step", "-1"}}, args), "negative"));
}

}  // namespace
}  // namespace manyform

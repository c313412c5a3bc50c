// The three programs on checkpoints, from file to file.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/config.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "model/checkpoint.h"
#include "model/export_checkpoint.h"
#include "model/import_checkpoint.h"
#include "model/inspect_checkpoint.h"
#include "model/safetensors.h"

namespace manyform {
namespace {

const std::string kLast = "testdata/golden/e_model/train/nepa_dual_last.pt";
const std::string kQa = "testdata/golden/f_eval/ckpt/qa";

std::string TestPath(const std::string& name) { return testing::TempDir() + "/tools_" + name; }

absl::StatusOr<ImportCheckpointResult> Import(const std::string& input, const std::string& output,
                                              const std::string& args = "") {
  ImportCheckpointConfig config;
  config.set_input(input);
  config.set_output(TestPath(output));
  config.set_args(args);
  return ImportCheckpoint(config);
}
absl::StatusOr<ExportCheckpointResult> Export(const std::string& input, const std::string& output,
                                              const std::string& aux_output = "") {
  ExportCheckpointConfig config;
  config.set_input(input);
  config.set_output(output);
  config.set_aux_output(aux_output);
  return ExportCheckpoint(config);
}
absl::StatusOr<InspectCheckpointResult> Inspect(const std::string& input, bool stats, std::string* printed) {
  InspectCheckpointConfig config;
  config.set_input(input);
  config.set_stats(stats);
  testing::internal::CaptureStdout();
  absl::StatusOr<InspectCheckpointResult> result = InspectCheckpoint(config);
  *printed = testing::internal::GetCapturedStdout();
  return result;
}

TEST(ImportCheckpointTest, WritesACheckpointAndSaysWhatItTook) {
  const ImportCheckpointResult result = Import(kLast, "last.safetensors").value();
  EXPECT_EQ(result.checkpoint(), TestPath("last.safetensors"));
  EXPECT_EQ(result.epoch(), 1);
  EXPECT_EQ(result.step(), 5);
  EXPECT_EQ(result.optimizer_states(), 32);
  EXPECT_EQ(result.aux_head_tensors(), 0);
  const LoadedModel loaded = LoadModel(result.checkpoint()).value();
  EXPECT_EQ(loaded.hash, result.hash());
  int64_t parameters = 0;
  for (const auto& [name, tensor] : loaded.model.parameters()) parameters += tensor.numel();
  EXPECT_EQ(result.parameters(), parameters);
  // The same file again is the same bytes.
  ASSERT_TRUE(Import(kLast, "again.safetensors").ok());
  EXPECT_EQ(ReadFile(TestPath("again.safetensors")).value(), ReadFile(TestPath("last.safetensors")).value());
}

TEST(ImportCheckpointTest, StateDictsWithArguments) {
  const ImportCheckpointResult torch = Import(kQa + ".pt", "qa_pt.safetensors").value();
  const ImportCheckpointResult tensors =
      Import(kQa + ".safetensors", "qa_st.safetensors", kQa + ".args.json").value();
  EXPECT_EQ(tensors.hash(), torch.hash());
  EXPECT_EQ(tensors.optimizer_states(), 0);
  EXPECT_FALSE(Import(kQa + ".safetensors", "no.safetensors").ok());
}

TEST(ImportCheckpointTest, NothingIsLeftOfWhatCannotBe) {
  EXPECT_TRUE(IsBadConfig(Import(kLast, "x.pt").status()));
  const absl::Status status = Import(kQa + ".args.json", "bad.safetensors").status();
  EXPECT_TRUE(absl::StrContains(status.message(), "qa.args.json")) << status;
  EXPECT_FALSE(FileExists(TestPath("bad.safetensors")));
  EXPECT_EQ(Import("nowhere.pt", "bad.safetensors").status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(Import(kLast, "bad.safetensors", "nowhere.json").ok());
  // Programs that read checkpoints say where a .pt goes.
  EXPECT_TRUE(absl::StrContains(LoadModel(kLast).status().message(), "//model:import_checkpoint"));
  EXPECT_TRUE(
      absl::StrContains(LoadModel(kQa + ".safetensors").status().message(), "//model:import_checkpoint"));
}

TEST(ExportCheckpointTest, PublishedNamesAndBack) {
  const std::string ours = Import(kLast, "export.safetensors").value().checkpoint();
  const ExportCheckpointResult result = Export(ours, TestPath("state_dict.safetensors")).value();
  ASSERT_EQ(result.left_out_size(), 1);
  EXPECT_TRUE(absl::StrContains(result.left_out(0), "optimizer state of 32"));
  const SafeTensors file = ReadSafeTensors(result.state_dict()).value();
  const SafeTensors published = ReadSafeTensors(kQa + ".safetensors").value();
  ASSERT_EQ(file.tensors.size(), published.tensors.size());
  std::vector<std::string> names, expected;
  for (const auto& [name, tensor] : file.tensors) names.push_back(name);
  for (const auto& [name, tensor] : published.tensors) expected.push_back(name);
  std::sort(names.begin(), names.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(names, expected);
  EXPECT_EQ(HashTensors(file.tensors), result.hash());
  EXPECT_EQ(file.metadata.at("format"), "pt");
  EXPECT_EQ(file.metadata.at("epoch"), "0");
  EXPECT_EQ(file.metadata.at("step"), "5");
  const auto args = nlohmann::json::parse(file.metadata.at("args"));
  EXPECT_EQ(args["dual_mask_window"], 8);
  EXPECT_EQ(args["heads"], 6);

  const ImportCheckpointResult again = Import(result.state_dict(), "back.safetensors").value();
  EXPECT_EQ(again.hash(), result.hash());
  CheckpointHeader then = ReadCheckpoint(ours).value().header;
  CheckpointHeader now = ReadCheckpoint(again.checkpoint()).value().header;
  for (CheckpointHeader* header : {&then, &now}) {
    header->clear_published_args();
    header->clear_published_rest();
    header->clear_config();
  }
  EXPECT_EQ(now.DebugString(), then.DebugString());
}

TEST(ExportCheckpointTest, HeadsGoToAFileOfTheirOwn) {
  Checkpoint checkpoint = ReadCheckpoint(Import(kLast, "plain.safetensors").value().checkpoint()).value();
  checkpoint.aux_heads = {{"cls.weight", at::ones({3, 48})}, {"cls.bias", at::zeros({3})}};
  checkpoint.header.set_stage("finetune");
  checkpoint.header.set_objective("classification");
  for (const char* name : {"chair", "lamp \"x\"", "sofa"}) checkpoint.header.add_class_names(name);
  const std::string ours = TestPath("heads.safetensors");
  ASSERT_TRUE(WriteCheckpoint(ours, checkpoint).ok());
  const auto result = Export(ours, TestPath("m.safetensors"), TestPath("h.safetensors"));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(HashTensors(ReadSafeTensors(TestPath("h.safetensors")).value().tensors),
            HashTensors(checkpoint.aux_heads));
  const auto metadata = ReadSafeTensors(TestPath("m.safetensors")).value().metadata;
  EXPECT_EQ(nlohmann::json::parse(metadata.at("class_names"))[1], "lamp \"x\"");
  EXPECT_EQ(metadata.at("stage"), "finetune");
  EXPECT_TRUE(Import(TestPath("m.safetensors"), "m_back.safetensors").ok());
  EXPECT_EQ(Export(ours, TestPath("m.safetensors")).value().left_out_size(), 2);
}

TEST(ExportCheckpointTest, NonsenseIsRefused) {
  const std::string ours = Import(kLast, "refuse.safetensors").value().checkpoint();
  const std::string bytes = ReadFile(ours).value();
  EXPECT_TRUE(IsBadConfig(Export(ours, ours).status()));
  EXPECT_TRUE(IsBadConfig(Export(ours, TestPath("x.pt")).status()));
  EXPECT_TRUE(IsBadConfig(Export(ours, TestPath("x.safetensors"), TestPath("x.safetensors")).status()));
  EXPECT_EQ(Export(ours, TestPath("x.safetensors"), TestPath("y.safetensors")).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(Export(kQa + ".safetensors", TestPath("x.safetensors")).ok());
  EXPECT_FALSE(Export(kLast, TestPath("x.safetensors")).ok());
  EXPECT_FALSE(FileExists(TestPath("x.safetensors")));
  EXPECT_EQ(ReadFile(ours).value(), bytes);
}

TEST(InspectCheckpointTest, ACheckpointOfOurs) {
  const std::string ours = Import(kLast, "inspect.safetensors").value().checkpoint();
  std::string printed;
  const InspectCheckpointResult result = Inspect(ours, true, &printed).value();
  EXPECT_EQ(result.kind(), "checkpoint");
  EXPECT_EQ(result.header().step(), 5);
  EXPECT_EQ(result.hash(), LoadModel(ours).value().hash);
  ASSERT_EQ(result.groups_size(), 4);
  std::map<std::string, TensorGroup> groups;
  for (const TensorGroup& group : result.groups()) groups[group.name()] = group;
  for (const char* name : {"model", "optimizer.exp_avg", "optimizer.exp_avg_sq"}) {
    EXPECT_EQ(groups[name].tensors(), 32) << name;
    EXPECT_EQ(groups[name].values(), groups["model"].values()) << name;
  }
  EXPECT_EQ(groups["optimizer.step"].values(), 32);
  EXPECT_EQ(result.tensors_size(), 128);
  for (const TensorSummary& tensor : result.tensors()) {
    EXPECT_EQ(tensor.not_finite(), 0) << tensor.name();
    EXPECT_LE(tensor.min(), tensor.mean()) << tensor.name();
  }
  for (const char* text : {"header\n", "  step: 5\n", "model.backbone.enc.layers.0.linear1.weight",
                           "192 x 48", "published arguments", "not finite"})
    EXPECT_TRUE(absl::StrContains(printed, text)) << text << " in\n" << printed;
  EXPECT_FALSE(absl::StrContains(printed, "optimizer.exp_avg.pos_emb"));
}

TEST(InspectCheckpointTest, MeasuresAreOfFiniteValues) {
  const at::Tensor odd = at::tensor({1.0, 3.0, INFINITY, std::nan("")});
  ASSERT_TRUE(WriteSafeTensors(TestPath("odd.safetensors"), {{{"odd", odd},
                                                              {"empty", at::empty({0, 2})},
                                                              {"nan", at::full({2}, NAN)},
                                                              {"flags", at::ones({2}, at::kBool)}},
                                                             {{"made", "by hand"}}})
                  .ok());
  std::string printed;
  const InspectCheckpointResult result = Inspect(TestPath("odd.safetensors"), true, &printed).value();
  EXPECT_EQ(result.kind(), "state_dict");
  EXPECT_EQ(result.metadata(0).value(), "by hand");
  std::map<std::string, TensorSummary> tensors;
  for (const TensorSummary& tensor : result.tensors()) tensors[tensor.name()] = tensor;
  EXPECT_EQ(tensors["odd"].not_finite(), 2);
  EXPECT_EQ(tensors["odd"].min(), 1);
  EXPECT_EQ(tensors["odd"].max(), 3);
  EXPECT_EQ(tensors["odd"].mean(), 2);
  EXPECT_EQ(tensors["odd"].std(), 1);
  EXPECT_EQ(tensors["odd"].bytes(), 32);
  EXPECT_FALSE(tensors["empty"].has_mean() || tensors["nan"].has_mean());
  EXPECT_EQ(tensors["flags"].dtype(), "Bool");
  // Without being asked, nothing is measured.
  EXPECT_FALSE(Inspect(TestPath("odd.safetensors"), false, &printed).value().tensors(0).has_not_finite());
  EXPECT_FALSE(absl::StrContains(printed, "not finite"));
}

TEST(InspectCheckpointTest, AForeignFile) {
  std::string printed;
  const InspectCheckpointResult result = Inspect(kLast, false, &printed).value();
  EXPECT_EQ(result.kind(), "torch");
  ASSERT_EQ(result.groups_size(), 2);
  EXPECT_EQ(result.groups(0).name(), "model");
  EXPECT_EQ(result.groups(1).name(), "opt");
  EXPECT_EQ(result.groups(1).tensors(), 96);
  EXPECT_EQ(result.tensors(32).name(), "opt.state.0.step");
  EXPECT_TRUE(absl::StrContains(printed, "\"dual_mask_window\":8")) << printed;
  EXPECT_FALSE(Inspect(kQa + ".args.json", false, &printed).ok());
  EXPECT_FALSE(Inspect("nowhere.pt", false, &printed).ok());
}

}  // namespace
}  // namespace manyform

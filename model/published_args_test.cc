#include "model/published_args.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "model/checkpoint.h"

namespace manyform {
namespace {

NamedTensors Weights(int64_t n_types = 9, Architecture arch = Architecture::kCausal) {
  return FreshParameters(
             {.d_model = 4, .layers = 3, .heads = 2, .n_types = n_types, .max_len = 7, .arch = arch}, 0)
      .value();
}

CheckpointHeader Header(const std::string& args, const NamedTensors& weights = Weights(),
                        std::vector<std::string>* remarks = nullptr) {
  std::vector<std::string> unread;
  return HeaderOfArgs("x.pt", args, weights, remarks == nullptr ? &unread : remarks).value();
}

TEST(PublishedArgsTest, SizesAreTheWeightsAndTheRestIsSaid) {
  const std::string args = R"({"heads": 2, "n_point": 24, "n_ray": 16, "qa_tokens": 1, "qa_layout": "split",
      "add_eos": 0, "objective": "mae", "max_len": -1, "lr": 2e-05, "save_last": 1, "force_missing_ray": true,
      "save_dir": "runs/a", "num_workers": 0, "resume": null})";
  std::vector<std::string> remarks;
  const CheckpointHeader header = Header(args, Weights(), &remarks);
  EXPECT_TRUE(remarks.empty());
  EXPECT_EQ(header.stage(), "pretrain");
  EXPECT_EQ(header.d_model(), 4);
  EXPECT_EQ(header.layers(), 3);
  EXPECT_EQ(header.heads(), 2);
  EXPECT_EQ(header.n_types(), 9);
  EXPECT_EQ(header.max_len(), 7);
  EXPECT_EQ(header.n_point(), 24);
  EXPECT_EQ(header.n_ray(), 16);
  EXPECT_TRUE(header.qa_tokens());
  EXPECT_EQ(header.qa_layout(), "split");
  EXPECT_FALSE(header.add_eos());
  EXPECT_EQ(header.objective(), "mae");
  EXPECT_EQ(header.arch(), "causal");
  EXPECT_EQ(header.published_args(), args);
  EXPECT_TRUE(absl::StrContains(header.config(), "lr: 2e-05\n")) << header.config();
  EXPECT_TRUE(absl::StrContains(header.config(), "force_missing_ray: true\n"));
  // Folders and workers are no part of what a checkpoint is.
  EXPECT_FALSE(absl::StrContains(header.config(), "save_dir"));
}

TEST(PublishedArgsTest, WhatIsNotSaidIsThePublishedDefault) {
  const CheckpointHeader header = Header(R"({"heads": 1})");
  EXPECT_EQ(header.n_point(), 512);
  EXPECT_TRUE(header.add_eos());
  EXPECT_EQ(header.qa_layout(), "interleave");
  // But for what the number of types tells.
  EXPECT_TRUE(header.qa_tokens());
  EXPECT_FALSE(Header(R"({"heads": 1})", Weights(5)).qa_tokens());
}

TEST(PublishedArgsTest, EncoderDecoder) {
  const CheckpointHeader header =
      Header(R"({"heads": 2, "arch": "encdec", "topo_k": 5, "topo_ray_coord": "bbox", "topo_ray_bbox": 0.25,
                 "encdec_src_causal": 1})",
             Weights(9, Architecture::kEncoderDecoder));
  const TransformerConfig config = ConfigOf(header);
  EXPECT_EQ(config.arch, Architecture::kEncoderDecoder);
  EXPECT_EQ(config.layers, 3);
  EXPECT_EQ(config.topology.k, 5);
  EXPECT_EQ(config.topology.ray_place, ParseRayPlace("bbox").value());
  EXPECT_EQ(config.topology.ray_box, 0.25);
  EXPECT_TRUE(config.encdec_src_causal);
  EXPECT_EQ(header.qa_layout(), "split");
}

TEST(PublishedArgsTest, ContradictionsAndNonsenseAreRefused) {
  const auto message = [](const std::string& args, const NamedTensors& weights = Weights()) {
    std::vector<std::string> remarks;
    const absl::Status status = HeaderOfArgs("x.pt", args, weights, &remarks).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << args;
    EXPECT_TRUE(absl::StartsWith(status.message(), "x.pt: ")) << status;
    return std::string(status.message());
  };
  EXPECT_TRUE(absl::StrContains(message("{}"), "no heads"));
  EXPECT_TRUE(absl::StrContains(message("[1]"), "no JSON object"));
  EXPECT_TRUE(absl::StrContains(message("{\"heads\": "), "no JSON object"));
  EXPECT_TRUE(absl::StrContains(message(R"({"heads": "two"})"), "heads"));
  EXPECT_TRUE(absl::StrContains(message(R"({"heads": 2, "arch": "mamba"})"), "arch"));
  EXPECT_TRUE(
      absl::StrContains(message(R"({"heads": 2, "layers": 2})"), "layers = 2, but the weights have 3"));
  EXPECT_TRUE(absl::StrContains(message(R"({"heads": 2, "d_model": 8})"), "d_model"));
  EXPECT_TRUE(absl::StrContains(message(R"({"heads": 2, "arch": "encdec"})"), "arch"));
  EXPECT_TRUE(absl::StrContains(message(R"({"heads": 2, "qa_tokens": 1})", Weights(5)), "5 token types"));
  EXPECT_TRUE(absl::StrContains(message(R"({"heads": 2})", {{"a", at::ones({1})}}), "pos_emb"));
  EXPECT_TRUE(absl::StrContains(
      message(R"({"heads": 2})", {{"pos_emb", at::ones({1})}, {"type_emb.weight", at::ones({1})}}),
      "pos_emb (1,T,d)"));
}

TEST(PublishedArgsTest, OddArgumentsThatDecideNothingAreKeptAndSaid) {
  std::vector<std::string> remarks;
  const CheckpointHeader header = Header(R"({"heads": 2, "lr": -1, "a=b": 3})", Weights(), &remarks);
  ASSERT_EQ(remarks.size(), 1u);
  EXPECT_TRUE(absl::StrContains(remarks[0], "lr")) << remarks[0];
  EXPECT_TRUE(absl::StrContains(header.published_args(), "\"lr\": -1"));
}

TEST(PublishedArgsTest, ArgumentsOfAHeaderGiveTheHeaderAgain) {
  for (const Architecture arch : {Architecture::kCausal, Architecture::kEncoderDecoder}) {
    CheckpointHeader header = Header(
        R"({"heads": 2, "n_point": 5, "n_ray": 3, "topo_k": 4, "objective": "mae", "lr": 0.5, "seed": 7})",
        Weights(9, arch));
    EXPECT_EQ(header.topo_k(), arch == Architecture::kCausal ? 0 : 4);
    const std::string args = ArgsOfHeader(header);
    EXPECT_EQ(nlohmann::json::parse(args)["seed"], 7);
    EXPECT_EQ(nlohmann::json::parse(args)["max_len"], 7);
    CheckpointHeader again = Header(args, Weights(9, arch));
    for (CheckpointHeader* h : {&header, &again}) {
      h->clear_published_args();
      h->clear_config();
    }
    EXPECT_EQ(again.DebugString(), header.DebugString());
  }
}

}  // namespace
}  // namespace manyform

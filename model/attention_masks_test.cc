#include "model/attention_masks.h"

#include <ATen/ATen.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "model/query_transformer.h"
#include "model/testing/golden_tensors.h"

namespace manyform {
namespace {

using Json = nlohmann::json;

Json GoldenCases() { return Json::parse(std::ifstream(kGolden + "model.json")); }

DualMask MaskOf(const Json& c) {
  return {.near = c["near"],
          .far = c["far"],
          .window = c["window"],
          .type_aware = c["type_aware"] == 1,
          .seed = static_cast<uint32_t>(c["seed"].get<uint64_t>())};
}

TEST(DualMaskBlocked, IsThePublishedMaskBitForBit) {
  const Json cases = GoldenCases()["dual_mask"];
  const Arrays expected = GoldenArrays("dual_mask"), batches = GoldenArrays("batches");
  for (const Json& c : cases) {
    const std::string key = c["key"], batch = c["batch"];
    const int64_t length = c["T"];
    const at::Tensor type = batches.at(batch + "/type").to(at::kLong);
    const at::Tensor blocked = DualMaskBlocked(MaskOf(c), type);
    EXPECT_TRUE(blocked.equal(UnpackBits(expected.at(key + "/blocked"), {length, length}))) << key;
    EXPECT_EQ(blocked.sum().item<int64_t>(), c["n_blocked"]) << key;
    if (expected.count(key + "/h") == 0) continue;
    const QueryTransformer model = GoldenModel("causal9");
    const Hidden hidden = model.Forward(batches.at(batch + "/feat"), type, {.blocked = blocked});
    EXPECT_LT(Distance(hidden.h, expected.at(key + "/h")), 1e-5) << key;
  }
  EXPECT_EQ(cases.size(), 12u);
}

TEST(DualMaskBlocked, ProbabilitiesAreNearAndFar) {
  const int64_t length = 400;
  const at::Tensor type = at::full({1, length}, 5, at::kLong);
  const at::Tensor blocked =
      DualMaskBlocked({.near = 0.7, .far = 0.2, .window = 40, .seed = 3}, type).to(at::kDouble);
  const at::Tensor past = at::ones({length, length}).tril(-1), far = at::ones({length, length}).tril(-41);
  const at::Tensor near = past - far;
  EXPECT_NEAR(((blocked * far).sum() / far.sum()).item<double>(), 0.2, 0.01);
  EXPECT_NEAR(((blocked * near).sum() / near.sum()).item<double>(), 0.7, 0.02);
  EXPECT_EQ(blocked.diagonal().sum().item<double>(), 0);
}

Topology TopologyOf(const Json& options) {
  Topology topology;
  topology.k = options.value("topo_k", 0);
  topology.ray_place = ParseRayPlace(options.value("topo_ray_coord", "origin")).value();
  topology.ray_box = options.value("topo_ray_bbox", 0.5);
  topology.include_bos = options.value("topo_include_bos", true);
  return topology;
}

TEST(EncoderDecoder, MatchesThePublishedModuleUnderEveryTopology) {
  const Json cases = GoldenCases()["forward"];
  const Arrays expected = GoldenArrays("forward"), batches = GoldenArrays("batches");
  int compared = 0;
  for (const auto& [key, c] : cases.items()) {
    const std::string batch = key.substr(key.find('/') + 1);
    const Topology topology = TopologyOf(c["kw"]);
    const bool src_causal = c["kw"].value("encdec_src_causal", 0) == 1;
    const at::Tensor feat = batches.at(batch + "/feat"), type = batches.at(batch + "/type").to(at::kLong);
    const int64_t queries = c["mask_shape"][1];
    const at::Tensor places = QueryPlaces(topology, feat.slice(1, 0, queries), type.slice(1, 0, queries));
    EXPECT_LT(Distance(places, expected.at(key + "/enc_xyz")), 1e-6) << key;
    if (topology.k > 0) {
      at::Tensor blocked = TopologyBlocked(topology, places);
      if (src_causal) blocked = blocked.logical_or(at::ones({queries, queries}, at::kBool).triu(1));
      const at::Tensor by_head = UnpackBits(expected.at(key + "/enc_mask_blocked_headmajor"),
                                            c["mask_shape"].get<std::vector<int64_t>>());
      EXPECT_TRUE(blocked.equal(by_head.view({-1, 6, queries, queries}).select(1, 0))) << key;
    }
    const QueryTransformer model =
        GoldenModel("encdec9", {.topology = topology, .encdec_src_causal = src_causal});
    EXPECT_LT(Distance(model.Forward(feat, type).h, expected.at(key + "/h")), 1e-5) << key;
    ++compared;
  }
  EXPECT_EQ(compared, 14);
}

TEST(EncoderDecoder, MatchesThePublishedModuleWithoutTopology) {
  const Arrays expected = GoldenArrays("forward"), batches = GoldenArrays("batches");
  const QueryTransformer model = GoldenModel("encdec9");
  for (const std::string batch : {"split", "split_mixed"}) {
    const Hidden hidden =
        model.Forward(batches.at(batch + "/feat"), batches.at(batch + "/type").to(at::kLong));
    for (const auto& [what, tensor] : {std::pair("z", hidden.z), {"h", hidden.h}, {"z_hat", hidden.z_hat}})
      EXPECT_LT(Distance(tensor, expected.at(absl::StrCat("encdec9/", batch, "/causal/", what))), 1e-5)
          << batch << what;
  }
}

TEST(EncoderDecoder, LastAnswerCountsWithoutEos) {
  const Arrays batches = GoldenArrays("batches");
  const at::Tensor feat = batches.at("split/feat"), type = batches.at("split/type").to(at::kLong);
  const QueryTransformer model = GoldenModel("encdec9");
  const at::Tensor with = model.Forward(feat, type).h;
  const at::Tensor without = model.Forward(feat.slice(1, 0, 31), type.slice(1, 0, 31)).h;
  EXPECT_LT(Distance(with.slice(1, 0, 31), without), 1e-5);
  EXPECT_EQ(with.select(1, 31).abs().max().item<double>(), 0);
}

TEST(EncoderDecoder, AnswersAtDifferentPlacesAreRefused) {
  const Arrays batches = GoldenArrays("batches");
  at::Tensor type = batches.at("split/type").to(at::kLong);
  type[1][15] = 6;
  EXPECT_THROW(GoldenModel("encdec9").Forward(batches.at("split/feat"), type), c10::Error);
}

TEST(TopologyBlocked, LeavesTheNearestNeighbours) {
  const at::Tensor places = at::randn({3, 20, 3});
  for (const int64_t k : {1, 4, 30}) {
    const at::Tensor blocked = TopologyBlocked({.k = k, .include_bos = false}, places);
    for (int64_t b = 0; b < 3; ++b)
      for (int64_t i = 0; i < 20; ++i) {
        std::vector<std::pair<double, int64_t>> others;
        for (int64_t j = 0; j < 20; ++j)
          if (j != i) others.emplace_back((places[b][i] - places[b][j]).norm().item<double>(), j);
        std::sort(others.begin(), others.end());
        std::set<int64_t> seen = {i};
        for (int64_t n = 0; n < std::min<int64_t>(k, 19); ++n) seen.insert(others[n].second);
        for (int64_t j = 0; j < 20; ++j) EXPECT_EQ(blocked[b][i][j].item<bool>(), seen.count(j) == 0);
      }
  }
}

TEST(Parse, NamesAreThePublishedOnes) {
  EXPECT_EQ(*ParseRayPlace("bbox"), RayPlace::kBox);
  EXPECT_TRUE(absl::StrContains(ParseRayPlace("box").status().message(), "origin, proj or bbox"));
  EXPECT_EQ(*ParseArchitecture("encdec"), Architecture::kEncoderDecoder);
  EXPECT_FALSE(ParseArchitecture("decoder").ok());
}

}  // namespace
}  // namespace manyform

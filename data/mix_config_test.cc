#include "data/mix_config.h"

#include "absl/strings/match.h"
#include "base/files.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(MixConfig, YamlIsReadAsPublished) {
  const nlohmann::json expected = GoldenJson("d_splits/mixture.json")["yaml_parsed"];
  const MixConfig config = OrThrow(ReadMixConfig("testdata/golden/d_splits/mix.yaml"));
  EXPECT_EQ(config.mix_seed(), 4);
  EXPECT_EQ(config.mix_num_samples(), 30);
  EXPECT_TRUE(config.replacement());
  ASSERT_EQ(config.datasets_size(), static_cast<int>(expected.size()));
  double sum = 0;
  for (const MixDataset& d : config.datasets()) sum += std::max(d.weight(), 0.0);
  for (int i = 0; i < config.datasets_size(); ++i) {
    const MixDataset& d = config.datasets(i);
    const nlohmann::json& e = expected[i];
    EXPECT_EQ(d.name(), e["name"]);
    EXPECT_EQ(d.cache_root(), e["cache_root"]);
    EXPECT_EQ(d.split(), e["split"]);
    EXPECT_EQ(d.backend(), e["backend"]);
    EXPECT_EQ(std::max(d.weight(), 0.0) / sum, e["weight"]);
    // Null is what is not set.
    const auto field = [&](const char* name, bool has, auto value) {
      EXPECT_EQ(has, !e[name].is_null()) << name;
      if (has) {
        EXPECT_EQ(e[name], value) << name;
      }
    };
    field("drop_ray_prob", d.has_drop_ray_prob(), d.drop_ray_prob());
    field("force_missing_ray", d.has_force_missing_ray(), d.force_missing_ray());
    field("add_eos", d.has_add_eos(), d.add_eos());
    field("voxel_grid", d.has_voxel_grid(), d.voxel_grid());
    field("voxel_dilate", d.has_voxel_dilate(), d.voxel_dilate());
    field("voxel_max_steps", d.has_voxel_max_steps(), d.voxel_max_steps());
  }
}

TEST(MixConfig, TextprotoIsTheSame) {
  const std::string path = testing::TempDir() + "/mix.textproto";
  ASSERT_TRUE(WriteFileAtomically(path,
                                  "datasets { cache_root: 'c' backend: 'udfgrid' weight: 2 }\n"
                                  "datasets { cache_root: 'd' name: 'n' }\nreplacement: false\n")
                  .ok());
  const MixConfig config = OrThrow(ReadMixConfig(path));
  EXPECT_EQ(config.datasets(0).name(), "ds0");
  EXPECT_EQ(config.datasets(0).split(), "train");
  EXPECT_EQ(config.datasets(1).name(), "n");
  EXPECT_FALSE(config.replacement());
  const MixConfig yaml = OrThrow(ParseMixYaml(
      "{datasets: [{cache_root: c, backend: udfgrid, weight: 2}, {cache_root: d, name: n}], replacement: no}",
      "flow"));
  EXPECT_EQ(config.DebugString(), yaml.DebugString());
}

TEST(MixConfig, NullLeavesTheDefault) {
  const MixConfig config = OrThrow(ParseMixYaml("mix_seed: ~\ndatasets: [{cache_root: c, split: }]", "x"));
  EXPECT_FALSE(config.has_mix_seed());
  EXPECT_EQ(config.datasets(0).split(), "train");
}

TEST(MixConfig, MistakesAreNamedWithPathAndField) {
  const std::pair<const char*, const char*> cases[] = {
      {"datasets: [{cache_rot: c}]", "cache_root"},
      {"datasets: [{cache_root: c, weight: heavy}]", "datasets[0].weight"},
      {"datasets: [{cache_root: c, weight: .inf}]", "datasets[0].weight"},
      {"datasets: [{cache_root: c, weight: 1e999}]", "datasets[0].weight"},
      {"datasets: [{cache_root: c, voxel_grid: 1.5}]", "datasets[0].voxel_grid"},
      {"datasets: [{cache_root: c, add_eos: maybe}]", "datasets[0].add_eos"},
      {"datasets: [{cache_root: c, drop_ray_prob: 2}]", "datasets[0].drop_ray_prob"},
      {"datasets: [{cache_root: c, backend: mash}]", "mash"},
      {"datasets: [{cache_root: c}, {cache_root: d, voxel_grid: 1}]", "datasets[1].voxel_grid"},
      {"datasets: [{cache_root: c, voxel_dilate: 65}]", "voxel_dilate"},
      {"datasets: [{cache_root: c, voxel_max_steps: -1}]", "voxel_max_steps"},
      {"datasets: [{cache_root: c, name: [a]}]", "datasets[0].name"},
      {"datasets: [{split: s}]", "datasets[0].cache_root"},
      {"datasets: [{cache_root: c}, 3]", "datasets[1]"},
      {"datasets: {cache_root: c}", "datasets"},
      {"datasets: []", "datasets"},
      {"mix_seed: 1", "datasets"},
      {"mix_sead: 1", "mix_seed"},
      {"mix_seed: 1\nmix_seed: 2\ndatasets: [{cache_root: c}]", "mix_seed"},
      {"[1, 2]", "datasets"},
      {"", "x.yaml"},
      {"a: [", "x.yaml"},
      {"[ta],?\n4 s\n", "more than one document"},
      {"---\ndatasets: [{cache_root: c}]\n---\na: 1", "more than one document"},
  };
  for (const auto& [text, what] : cases) {
    const absl::Status status = ParseMixYaml(text, "x.yaml").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_TRUE(absl::StartsWith(status.message(), "x.yaml")) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), what)) << status;
  }
  EXPECT_TRUE(absl::StrContains(ParseMixYaml("mix_seed: 0\nmix_num_samples: x", "x.yaml").status().message(),
                                "x.yaml:2: mix_num_samples is 'x', expected an integer"));
  EXPECT_EQ(ReadMixConfig("none.yaml").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadMixConfig("mix.json").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace manyform

#include "data/token_options.h"

#include "base/config.h"
#include "gtest/gtest.h"
#include "proto/tokens.pb.h"
#include "proto/train.pb.h"

namespace manyform {
namespace {

template <class Config>
Config With(std::initializer_list<const char*> overrides) {
  Config config;
  for (const char* text : overrides) {
    EXPECT_TRUE(ApplyOverride(text, &config).ok()) << text;
  }
  return config;
}

TokenOptions Tokens(const google::protobuf::Message& config, std::string_view suffix = "") {
  TokenOptions options;
  const absl::Status status = SetTokenOptions(config, &options, suffix);
  EXPECT_TRUE(status.ok()) << status;
  return options;
}

TEST(TokenOptions, EveryNameIsRead) {
  const TokenOptions o = Tokens(With<DumpTokensConfig>({"n_point=7",
                                                        "n_ray=9",
                                                        "drop_ray_prob=0.25",
                                                        "force_missing_ray=1",
                                                        "add_eos=0",
                                                        "qa_tokens=1",
                                                        "qa_layout=split",
                                                        "pt_sample_mode=fixed_grid",
                                                        "pt_rfps_m=33",
                                                        "ablate_point_dist=1",
                                                        "include_pt_grad=1",
                                                        "pt_grad_mode=log",
                                                        "pt_grad_eps=0.5",
                                                        "pt_grad_clip=3",
                                                        "pt_grad_orient=ray",
                                                        "include_ray_unc=1",
                                                        "ray_unc_k=5",
                                                        "ray_unc_mode=normal_var",
                                                        "aug_rotate_z=1",
                                                        "aug_scale_min=0.5",
                                                        "aug_scale_max=1.5",
                                                        "aug_translate=0.1",
                                                        "aug_jitter_sigma=0.2",
                                                        "aug_jitter_clip=0.3",
                                                        "aug_eval=1"}));
  EXPECT_EQ(o.n_point, 7);
  EXPECT_EQ(o.n_ray, 9);
  EXPECT_EQ(o.drop_ray_prob, 0.25);
  EXPECT_TRUE(o.force_missing_ray);
  EXPECT_FALSE(o.layout.add_eos);
  EXPECT_TRUE(o.layout.qa_tokens);
  EXPECT_EQ(o.layout.qa_layout, QaLayout::kSplit);
  EXPECT_EQ(o.sampling, PointSampling::kGrid);
  EXPECT_EQ(o.rfps_m, 33);
  EXPECT_TRUE(o.ablate_point_dist);
  EXPECT_TRUE(o.gradient.include && o.gradient.inverse_distance && o.gradient.against_ray);
  EXPECT_EQ(o.gradient.eps, 0.5);
  EXPECT_EQ(o.gradient.clip, 3);
  EXPECT_TRUE(o.uncertainty.include);
  EXPECT_EQ(o.uncertainty.k, 5);
  EXPECT_TRUE(o.augment.rotate_z && o.augment.in_eval);
  EXPECT_EQ(o.augment.scale_min, 0.5);
  EXPECT_EQ(o.augment.scale_max, 1.5);
  EXPECT_EQ(o.augment.translate, 0.1);
  EXPECT_EQ(o.augment.jitter_sigma, 0.2);
  EXPECT_EQ(o.augment.jitter_clip, 0.3);
}

TEST(TokenOptions, DefaultsOfTheConfigCount) {
  const TokenOptions o = Tokens(DumpTokensConfig());
  EXPECT_EQ(o.n_point, 512);
  EXPECT_TRUE(o.layout.add_eos);
  EXPECT_FALSE(o.augment.Any());
  EXPECT_EQ(o.gradient.eps, 0.001);
}

TEST(TokenOptions, WhatIsNotSaidStays) {
  TokenOptions o = {.n_point = 17, .n_ray = 19, .rfps_m = 23};
  o.layout.qa_tokens = true;
  o.layout.qa_layout = QaLayout::kSplit;
  o.gradient.include = true;
  // Its n_point, n_ray, qa_tokens and add_eos are -1, and it knows no gradients.
  ASSERT_TRUE(SetTokenOptions(FinetuneConfig(), &o).ok());
  EXPECT_EQ(o.n_point, 17);
  EXPECT_EQ(o.n_ray, 19);
  EXPECT_EQ(o.rfps_m, 4096);
  EXPECT_TRUE(o.layout.qa_tokens && o.layout.add_eos);
  EXPECT_EQ(o.layout.qa_layout, QaLayout::kSplit);
  ASSERT_TRUE(SetTokenOptions(With<FinetuneConfig>({"qa_tokens=0", "n_ray=0", "add_eos=0"}), &o).ok());
  EXPECT_EQ(o.n_ray, 0);
  EXPECT_FALSE(o.layout.qa_tokens || o.layout.add_eos);
}

TEST(TokenOptions, SuffixesComeFirst) {
  const auto config = With<FinetuneConfig>(
      {"pt_sample_mode_train=rfps", "pt_sample_mode_eval=grid", "drop_ray_prob_train=0.5"});
  EXPECT_EQ(Tokens(config, "_train").sampling, PointSampling::kRfps);
  EXPECT_EQ(Tokens(config, "_eval").sampling, PointSampling::kGrid);
  EXPECT_EQ(Tokens(config).sampling, PointSampling::kRandom);
  EXPECT_EQ(Tokens(config, "_train").drop_ray_prob, 0.5);
  EXPECT_EQ(Tokens(config, "_eval").drop_ray_prob, 0);
}

TEST(TokenOptions, PresetsFillWhatWasLeft) {
  const TokenOptions o = Tokens(With<DumpTokensConfig>({"aug_preset=modelnet40", "aug_scale_min=0.9"}));
  EXPECT_EQ(o.augment.scale_min, 0.9);
  EXPECT_EQ(o.augment.scale_max, 1.25);
  EXPECT_EQ(o.augment.translate, 0.1);
}

TEST(TokenOptions, WrongValuesAreNamed) {
  for (const char* wrong : {"qa_layout=x", "pt_sample_mode=x", "pt_grad_mode=x", "pt_grad_orient=x",
                            "ray_unc_mode=x", "aug_preset=x", "aug_scale_min=1.5"}) {
    TokenOptions options;
    const absl::Status status = SetTokenOptions(With<DumpTokensConfig>({wrong}), &options);
    const std::string text = wrong, name = text.substr(0, text.find('='));
    EXPECT_TRUE(IsBadConfig(status)) << wrong;
    const std::string said = name == "pt_sample_mode" ? "point sampling" : name;
    EXPECT_NE(status.message().find(said), std::string::npos) << status;
  }
}

TEST(BackendOptions, EveryNameIsRead) {
  BackendOptions o;
  ASSERT_TRUE(SetBackendOptions(With<DumpTokensConfig>({"backend=voxel", "voxel_grid=16", "voxel_dilate=2",
                                                        "voxel_max_steps=9", "pt_xyz_key=a", "pt_dist_key=b",
                                                        "pt_fps_key=c"}),
                                &o)
                  .ok());
  EXPECT_EQ(o.backend, Backend::kVoxel);
  EXPECT_EQ(o.voxel_grid, 16);
  EXPECT_EQ(o.voxel_dilate, 2);
  EXPECT_EQ(o.voxel_max_steps, 9);
  EXPECT_EQ(o.xyz_key + o.dist_key + o.fps_key, "abc");
  EXPECT_TRUE(IsBadConfig(SetBackendOptions(With<DumpTokensConfig>({"backend=voxels"}), &o)));
}

TEST(BackendOptions, PrefixesComeFirstWhereTheyAreSet) {
  const auto backend = [](const FinetuneConfig& config, const char* prefix) {
    BackendOptions o;
    EXPECT_TRUE(SetBackendOptions(config, &o, prefix).ok());
    return o.backend;
  };
  const auto config = With<FinetuneConfig>({"backend=udfgrid", "eval_backend=voxel"});
  EXPECT_EQ(backend(config, "train_"), Backend::kUdfgrid);
  EXPECT_EQ(backend(config, "eval_"), Backend::kVoxel);
  EXPECT_EQ(backend(FinetuneConfig(), ""), Backend::kMesh);
}

}  // namespace
}  // namespace manyform

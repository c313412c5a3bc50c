#include "data/dump_tokens.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/files.h"
#include "data/npz.h"
#include "data/testing/golden_npz.h"
#include "data/testing/golden_tolerance.h"
#include "data/token_options.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Json = nlohmann::json;

// Stands beside a copy of the three shapes that published datasets were read from: paths are hashed as typed.
class DumpTokensTest : public testing::Test {
 protected:
  void SetUp() override {
    golden_ = GoldenJson("c_tokens/dataset.json");
    arrays_ = std::make_unique<GoldenNpz>("c_tokens/dataset.npz");
    home_ = std::filesystem::current_path();
    const std::filesystem::path folder = testing::TempDir() + "/dump_tokens";
    std::filesystem::remove_all(folder);
    for (const std::string path : golden_["paths"]) {
      std::filesystem::create_directories((folder / path).parent_path());
      std::filesystem::copy_file("testdata/golden/c_tokens/" + path, folder / path);
    }
    std::filesystem::current_path(folder);
  }
  void TearDown() override { std::filesystem::current_path(home_); }

  static DumpTokensConfig ConfigOf(const Json& args) {
    DumpTokensConfig config;
    config.set_cache_root("cache");
    config.set_output("out.npz");
    for (const auto& [name, value] : args.items()) {
      if (name == "return_label" || name == "mode") continue;
      const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
      const absl::Status status = ApplyOverride(absl::StrCat(name, "=", text), &config);
      EXPECT_TRUE(status.ok()) << status;
    }
    EXPECT_TRUE(CheckConfig(config).ok());
    return config;
  }

  Json golden_;
  std::unique_ptr<GoldenNpz> arrays_;
  std::filesystem::path home_;
};

TEST_F(DumpTokensTest, EvaluationItemsAreThePublishedOnes) {
  int compared = 0;
  for (const Json& c : golden_["cases"]) {
    if (c["args"]["mode"] != "eval") continue;
    SCOPED_TRACE(c["key"]);
    std::filesystem::remove("out.npz");
    DumpTokensConfig config = ConfigOf(c["args"]);
    if (config.backend() == "mesh" && config.pt_xyz_key() == "pc_xyz") {
      EXPECT_EQ(DumpTokens(config).status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_FALSE(FileExists("out.npz"));
      config.set_pt_xyz_key("pt_xyz_pool");
    }
    const DumpTokensResult result = OrThrow(DumpTokens(config));
    const NpzReader npz = OrThrow(NpzReader::Open("out.npz"));
    const Array feat = OrThrow(npz.Read("feat", true)), type = OrThrow(npz.Read("type_id", true));
    const int64_t samples = config.mc_eval_k(), tokens = result.tokens();
    EXPECT_EQ(feat.dtype, DType::kF32);
    EXPECT_EQ(type.dtype, DType::kI64);
    ASSERT_EQ(feat.shape, (std::vector<int64_t>{3, samples, tokens, 15}));
    ASSERT_EQ(type.shape, (std::vector<int64_t>{3, samples, tokens}));
    EXPECT_EQ(OrThrow(OrThrow(npz.Read("key")).Strings()),
              (std::vector<std::string>{"alpha/s0", "alpha/s1", "beta/s2"}));
    std::vector<float> expected;
    std::vector<uint8_t> expected_types;
    for (int j = 0; j < 3; ++j) {
      const std::string item = absl::StrCat(c["key"].get<std::string>(), "/", j);
      for (const float v : arrays_->Get<float>(item + "/feat")) expected.push_back(v);
      for (const uint8_t v : arrays_->Get<uint8_t>(item + "/type")) expected_types.push_back(v);
    }
    EXPECT_EQ(OrThrow(type.Values<uint8_t>()), expected_types);
    const std::vector<float> got = OrThrow(feat.Values<float>());
    ASSERT_EQ(got.size(), expected.size());
    TokenOptions options;
    ASSERT_TRUE(SetTokenOptions(config, &options).ok());
    if (!options.augment.in_eval) options.augment = {};
    for (size_t i = 0; i < got.size(); ++i) {
      const size_t token = i / kFeatures, feature = i % kFeatures;
      ASSERT_LE(std::abs(got[i] - expected[i]),
                TokenTolerance(expected_types[token], static_cast<int64_t>(feature), options))
          << "token " << token << "[" << feature << "]";
    }
    ++compared;
  }
  EXPECT_EQ(compared, 24);
}

TEST_F(DumpTokensTest, ThreadsDoNotShow) {
  DumpTokensConfig config = ConfigOf(golden_["cases"][19]["args"]);
  config.set_mc_eval_k(50);
  std::string bytes;
  for (const int threads : {1, 2, 7}) {
    config.set_num_threads(threads);
    ASSERT_TRUE(DumpTokens(config).ok());
    const std::string got = OrThrow(ReadFile("out.npz"));
    if (bytes.empty()) bytes = got;
    EXPECT_TRUE(got == bytes) << threads;
  }
  // The first of fifty is the one there is alone, and max_files takes from the front.
  config.set_mc_eval_k(1);
  config.set_max_files(2);
  EXPECT_EQ(OrThrow(DumpTokens(config)).shapes(), 2);
  const NpzReader one = OrThrow(NpzReader::Open("out.npz"));
  const std::vector<float> all =
      OrThrow(OrThrow(OrThrow(NpzReader::FromBytes("all", {bytes.begin(), bytes.end()})).Read("feat"))
                  .Values<float>());
  const std::vector<float> first = OrThrow(OrThrow(one.Read("feat")).Values<float>());
  const size_t half = first.size() / 2;
  EXPECT_TRUE(std::equal(first.begin(), first.begin() + half, all.begin()));
  EXPECT_TRUE(std::equal(first.begin() + half, first.end(), all.begin() + 50 * half));
}

TEST_F(DumpTokensTest, ErrorsNameTheShapeAndLeaveNoFile) {
  DumpTokensConfig config = ConfigOf({{"n_point", 401}, {"n_ray", 0}});
  absl::Status status = DumpTokens(config).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "cache/test/alpha/s0.npz")) << status;
  config = ConfigOf({{"n_point", 4}, {"n_ray", 0}, {"pt_fps_key", "no_order"}});
  status = DumpTokens(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(status.message(), "no_order")) << status;
  config = ConfigOf({{"n_point", 4}, {"n_ray", 0}, {"pt_dist_key", "no_distance"}});
  EXPECT_EQ(DumpTokens(config).status().code(), absl::StatusCode::kNotFound);
  config = ConfigOf({{"n_point", 4}, {"split", "train"}});
  EXPECT_EQ(DumpTokens(config).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(OrThrow(ListDirectory(".")), (std::vector<std::string>{"cache"}));
  config.set_output("out.npy");
  EXPECT_TRUE(IsBadConfig(DumpTokens(config).status()));
}

// The same cache as NumPy's compressed, Fortran-ordered and double arrays gives the same tokens.
TEST_F(DumpTokensTest, HowArraysLieInTheFileDoesNotShow) {
  DumpTokensConfig config = ConfigOf(golden_["cases"][3]["args"]);
  ASSERT_TRUE(DumpTokens(config).ok());
  const std::string expected = OrThrow(ReadFile("out.npz"));
  for (const bool compress : {false, true}) {
    for (const std::string path : golden_["paths"]) {
      const NpzReader npz = OrThrow(NpzReader::Open(path));
      std::vector<NamedArray> arrays;
      for (const NpzMember& member : npz.members()) {
        Array array = OrThrow(npz.Read(member.name));
        if (array.dtype == DType::kF32 && array.shape.size() == 2) {
          const std::vector<float> c_order = OrThrow(array.Values<float>());
          std::vector<float> columns;
          for (int64_t k = 0; k < array.shape[1]; ++k) {
            for (int64_t i = 0; i < array.shape[0]; ++i) columns.push_back(c_order[i * array.shape[1] + k]);
          }
          array = MakeArray(columns, array.shape);
          array.fortran_order = true;
        } else if (array.dtype == DType::kF32) {
          array = MakeArray(OrThrow(array.Values<double>()), array.shape);
        }
        arrays.push_back({member.name, array});
      }
      ASSERT_TRUE(WriteNpz(path, arrays, {.compress = compress}).ok());
    }
    ASSERT_TRUE(DumpTokens(config).ok());
    EXPECT_TRUE(OrThrow(ReadFile("out.npz")) == expected) << compress;
  }
}

}  // namespace
}  // namespace manyform

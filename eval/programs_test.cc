// The programs' functions from config to result: what the golden tests, which feed models by hand, do not
// see.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/strings/match.h"
#include "base/files.h"
#include "base/result_writer.h"
#include "eval/cpac.h"
#include "eval/golden_for_test.h"
#include "eval/record.h"
#include "eval/ucpr.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

class Programs : public testing::Test {
 protected:
  static void SetUpTestSuite() { EnterGoldenFolder(); }
  void SetUp() override {
    ckpt_ = WriteGoldenCheckpoint("qa", testing::TempDir());
    ucpr_.set_cache_root("c40");
    ucpr_.set_split("train");
    ucpr_.set_ckpt(ckpt_);
    ucpr_.set_query_backend("mesh");
    ucpr_.set_gallery_backend("udfgrid");
    ucpr_.set_num_threads(1);
    cpac_.set_cache_root("c40");
    cpac_.set_split("test");
    cpac_.set_ckpt(ckpt_);
    cpac_.set_n_context(24);
    cpac_.set_n_query(24);
    cpac_.set_num_threads(1);
  }
  std::string ckpt_;
  UcprConfig ucpr_;
  CpacConfig cpac_;
};

TEST_F(Programs, UcprWritesPublishedKeysAndExamples) {
  ucpr_.set_examples(3);
  const UcprResult result = ValueOrDie(Ucpr(ucpr_));
  EXPECT_EQ(result.record().label(), "qa");
  EXPECT_EQ(result.record().checkpoint_hash().size(), 64);
  ASSERT_EQ(result.examples_size(), 3);
  for (const RetrievalExample& example : result.examples()) {
    ASSERT_EQ(example.gallery_keys_size(), 5);
    const auto& keys = example.gallery_keys();
    const auto found = std::find(keys.begin(), keys.end(), example.query_key());
    if (example.rank() <= 5) {
      EXPECT_EQ(found - keys.begin() + 1, example.rank());
    } else {
      EXPECT_EQ(found, keys.end());
    }
  }
  ASSERT_EQ(result.ranks_size(), 40);
  const std::vector<int64_t> ranks(result.ranks().begin(), result.ranks().end());
  ASSERT_EQ(result.hardest_size(), 5);
  EXPECT_EQ(result.hardest(0).rank(), *std::max_element(ranks.begin(), ranks.end()));
  EXPECT_EQ(result.hardest(0).gallery_keys_size(), 5);
  ASSERT_EQ(result.intervals_size(), 5);
  for (const MetricInterval& interval : result.intervals()) {
    EXPECT_LE(interval.low(), MetricOr(result.record(), interval.metric(), NAN)) << interval.metric();
    EXPECT_GE(interval.high(), MetricOr(result.record(), interval.metric(), NAN)) << interval.metric();
    EXPECT_LT(interval.low(), interval.high()) << interval.metric();
  }
  double right = 0;
  int64_t queries = 0;
  for (const ClassRetrieval& one : result.classes()) {
    EXPECT_GT(one.queries(), 0) << one.name();
    queries += one.queries();
    right += one.recall_at_1() * static_cast<double>(one.queries());
  }
  EXPECT_EQ(queries, 40);
  EXPECT_NEAR(right, 40 * MetricOr(result.record(), "r@1", NAN), 1e-9);
  const auto json = nlohmann::json::parse(ValueOrDie(FormatResult(result, ResultFormat::kJson)));
  const auto golden = GoldenJson("ucpr.json")["runs"][0]["metrics"];
  for (const auto& [key, value] : golden.items()) {
    ASSERT_TRUE(json.contains(key)) << key;
    if (key != "ckpt" && !value.is_number_float()) {
      EXPECT_EQ(json[key], value) << key;
    }
  }
  EXPECT_NEAR(json["expected_random_r@5"].get<double>(), 5.0 / 40, 1e-12);
}

TEST_F(Programs, ResultsDoNotDependOnBatchOrThreads) {
  const auto embed = [this](int batch, int threads) {
    SetTensorThreads(threads);
    ucpr_.set_batch(batch);
    UcprTrace trace;
    LoadedModel model = ValueOrDie(LoadModel(ckpt_));
    const auto shapes = std::make_shared<const ShapeList>(ValueOrDie(ShapeList::Open("c40", "train")));
    ucpr_.set_max_files(9);
    ValueOrDie(MeasureUcpr(ucpr_, shapes, &model, &trace));
    return trace.gallery;
  };
  const at::Tensor one = embed(1, 1), many = embed(4, 2);
  EXPECT_LE((one - many).abs().max().item<float>(), 1e-5f);

  cpac_.set_max_shapes(5);
  cpac_.set_head_train_max_shapes(5);
  const ResultRecord probe = ValueOrDie(Cpac(cpac_)).record();
  cpac_.set_batch(2);
  cpac_.set_num_threads(2);
  const ResultRecord again = ValueOrDie(Cpac(cpac_)).record();
  EXPECT_EQ(probe.protocol_signature(), again.protocol_signature());
  for (const char* metric : {"mae", "rmse"})
    EXPECT_NEAR(MetricOr(probe, metric, NAN), MetricOr(again, metric, NAN), 1e-4);
}

TEST_F(Programs, SignatureKnowsTheProtocolNotTheModel) {
  const ResultRecord record = ValueOrDie(Ucpr(ucpr_)).record();
  ucpr_.set_ckpt(WriteGoldenCheckpoint("legacy", testing::TempDir()));
  const ResultRecord legacy = ValueOrDie(Ucpr(ucpr_)).record();
  EXPECT_EQ(record.protocol_signature(), legacy.protocol_signature()) << "other tokens, same question";
  EXPECT_NE(record.checkpoint_hash(), legacy.checkpoint_hash());
  ucpr_.set_n_point(20);
  EXPECT_NE(legacy.protocol_signature(), ValueOrDie(Ucpr(ucpr_)).record().protocol_signature());
}

TEST_F(Programs, CpacJsonNestsAsPublished) {
  cpac_.set_baseline("nn_copy");
  const CpacResult result = ValueOrDie(Cpac(cpac_));
  const auto json = nlohmann::json::parse(ValueOrDie(FormatResult(result, ResultFormat::kJson)));
  const nlohmann::json golden = GoldenJson("cpac.json");
  for (const auto& run : golden["runs"]) {
    if (run["name"] != "nn_copy") continue;
    EXPECT_NEAR(json["baseline"]["mae"].get<double>(), run["metrics"]["baseline"]["mae"], 1e-6);
    EXPECT_EQ(json["baseline"]["name"], "nn_copy");
    EXPECT_EQ(json["near@tau_report"]["n"], run["metrics"]["near@tau_report"]["n"]);
    EXPECT_EQ(json["n_shapes_head_train"], 10);
  }
}

TEST_F(Programs, SettingsOfOnePassEqualTheirOwnRuns) {
  const std::vector<std::string> settings = {
      "tau=0.1 report_near_tau=0.2 label=tau",
      "query_source=grid grid_sample_mode=coarse_to_fine grid_res_schedule=4,16",
      "target_transform=log1p ridge_lambda=0.1",
      "baseline=nn_copy baseline_only=1",
      "context_mode_test=mismatch head_train_n=50 slice_shapes=1",
      "n_query=60 rep_source=zhat",
      "head_train_split=none max_shapes=9",
      "ridge_lipschitz_lambda=1 ridge_lipschitz_steps=3 head_train_backend=pointcloud_noray"};
  CpacConfig all = cpac_;
  std::vector<std::string> outputs;
  for (size_t i = 0; i < settings.size(); ++i) {
    outputs.push_back(absl::StrCat(testing::TempDir(), "/setting_", i, ".binpb"));
    all.add_settings(absl::StrCat(settings[i], " output=", outputs[i]));
  }
  const CpacResult base = ValueOrDie(Cpac(all));
  EXPECT_EQ(base.record().SerializeAsString(), ValueOrDie(Cpac(cpac_)).record().SerializeAsString());
  const std::vector<CpacConfig> configs = ValueOrDie(ExpandSettings(all));
  ASSERT_EQ(configs.size(), settings.size() + 1);
  std::set<std::string> distinct;
  for (size_t i = 0; i < settings.size(); ++i) {
    CpacResult written;
    ASSERT_TRUE(ReadResult(outputs[i], &written).ok());
    const CpacResult alone = ValueOrDie(Cpac(configs[i + 1]));
    EXPECT_EQ(written.record().SerializeAsString(), alone.record().SerializeAsString()) << settings[i];
    EXPECT_EQ(written.slices_size(), alone.slices_size());
    EXPECT_TRUE(absl::StrContains(written.provenance().config(), outputs[i]));
    distinct.insert(alone.record().SerializeAsString());
  }
  EXPECT_EQ(distinct.size(), settings.size());
}

TEST_F(Programs, SettingsThatCannotShareAPassAreRefused) {
  for (const char* setting : {"split=train output=a.json", "tau=0.1", "tau output=a.json",
                              "tau=-1 output=a.json", "tau=0.1 output=a.exe", "ckpt=other output=a.json"}) {
    CpacConfig config = cpac_;
    config.add_settings(setting);
    const absl::Status status = Cpac(config).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << setting;
    EXPECT_TRUE(absl::StrContains(status.message(), "settings") ||
                absl::StrContains(status.message(), ".exe"))
        << status;
  }
  CpacConfig twice = cpac_;
  twice.add_settings("tau=0.1 output=a.json");
  twice.add_settings("tau=0.2 output=a.json");
  EXPECT_EQ(Cpac(twice).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(Programs, BaselineAloneNeedsNoCheckpoint) {
  cpac_.set_baseline("nn_copy");
  const ResultRecord with_model = ValueOrDie(Cpac(cpac_)).record();
  cpac_.clear_ckpt();
  EXPECT_EQ(Cpac(cpac_).status().code(), absl::StatusCode::kInvalidArgument);
  cpac_.set_baseline_only(true);
  cpac_.set_slice_shapes(1);
  const CpacResult alone = ValueOrDie(Cpac(cpac_));
  EXPECT_EQ(alone.record().label(), "nn_copy");
  EXPECT_EQ(MetricOr(alone.record(), "mae", NAN), MetricOr(with_model, "baseline.mae", -1));
  EXPECT_EQ(alone.slices(0).predicted_size(), 0);
  EXPECT_EQ(alone.slices(0).baseline_size(), 256);
}

TEST_F(Programs, RecordsSayThatScansWereSimulated) {
  cpac_.set_baseline("nn_copy");
  cpac_.set_baseline_only(true);
  EXPECT_EQ(SettingOf(ValueOrDie(Cpac(cpac_)).record(), "simulated"), "");
  EXPECT_EQ(SettingOf(ValueOrDie(Ucpr(ucpr_)).record(), "simulated"), "");
  const std::string root = testing::TempDir() + "/simulated";
  std::filesystem::copy("c40", root, std::filesystem::copy_options::recursive);
  ASSERT_TRUE(WriteFileAtomically(root + "/_meta/simulated.txt", "simulated\n").ok());
  std::filesystem::remove(root + "/manifest.binpb");
  cpac_.set_cache_root(root);
  ucpr_.set_cache_root(root);
  EXPECT_EQ(SettingOf(ValueOrDie(Cpac(cpac_)).record(), "simulated"), "true");
  EXPECT_EQ(SettingOf(ValueOrDie(Ucpr(ucpr_)).record(), "simulated"), "true");
}

TEST_F(Programs, SlicesAreOfTheMiddleLayer) {
  cpac_.set_slice_shapes(2);
  const CpacResult result = ValueOrDie(Cpac(cpac_));
  cpac_.set_batch(1);
  const CpacResult again = ValueOrDie(Cpac(cpac_));
  ASSERT_EQ(result.slices_size(), 2);
  for (int s = 0; s < 2; ++s) {
    const FieldSlice& slice = result.slices(s);
    ASSERT_EQ(slice.resolution(), 16);
    const NpzReader npz = ValueOrDie(NpzReader::Open("c40/test/" + slice.key() + ".npz"));
    const std::vector<float> grid = GoldenArray<float>(npz, "udf_grid");
    ASSERT_EQ(slice.predicted_size(), 256);
    double error = 0, spread = 0;
    for (int x = 0; x < 16; ++x) {
      for (int y = 0; y < 16; ++y) {
        EXPECT_EQ(slice.truth(x * 16 + y), grid[(x * 16 + y) * 16 + 8]);
        EXPECT_NEAR(slice.predicted(x * 16 + y), again.slices(s).predicted(x * 16 + y), 1e-4);
        error += std::abs(slice.predicted(x * 16 + y) - slice.truth(x * 16 + y)) / 256;
        spread += slice.truth(x * 16 + y) / 256;
      }
    }
    EXPECT_LT(error, spread) << "nearer to the truth than a field of zeros";
  }
}

TEST_F(Programs, ErrorsSayWhatIsThere) {
  const auto message = [](const absl::Status& status) { return std::string(status.message()); };
  ucpr_.set_split("evil");
  EXPECT_TRUE(absl::StrContains(message(Ucpr(ucpr_).status()), "train_udf")) << Ucpr(ucpr_).status();
  ucpr_.set_split("train");
  ucpr_.set_max_len(10);
  EXPECT_TRUE(absl::StrContains(message(Ucpr(ucpr_).status()), "max_len 10")) << Ucpr(ucpr_).status();
  ucpr_.clear_max_len();
  ucpr_.set_ckpt(WriteGoldenCheckpoint("legacy", testing::TempDir()));
  ucpr_.set_qa_tokens(1);
  EXPECT_EQ(Ucpr(ucpr_).status().code(), absl::StatusCode::kInvalidArgument);
  ucpr_.set_ckpt("ckpt/nothing.safetensors");
  EXPECT_EQ(Ucpr(ucpr_).status().code(), absl::StatusCode::kNotFound);
  ucpr_.set_ckpt("ckpt/qa.safetensors");
  EXPECT_FALSE(Ucpr(ucpr_).ok()) << "no header of ours";
  cpac_.set_head_train_split("train_pc");
  EXPECT_TRUE(absl::StrContains(message(Cpac(cpac_).status()), "train_udf")) << Cpac(cpac_).status();
  cpac_.clear_head_train_split();
  cpac_.set_head_train_n(3);
  cpac_.set_ridge_lambda(0);
  EXPECT_TRUE(absl::StrContains(message(Cpac(cpac_).status()), "ridge_lambda")) << Cpac(cpac_).status();
}

}  // namespace
}  // namespace manyform

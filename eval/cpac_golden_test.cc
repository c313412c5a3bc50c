// Completion on the golden cache against the published system's numbers, run by run.
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "eval/cpac.h"
#include "eval/golden_for_test.h"
#include "eval/record.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

/// Golden runs of options that are not offered here.
const std::map<std::string, std::string> kSkipped = {
    {"grid_strat", "stratified voxels"},
    {"grid_strat_23", "stratified voxels"},
    {"grid_c2f", "coarse-to-fine voxels"},
    {"grid_c2f_weights", "coarse-to-fine voxels"},
    {"grid_c2f_default", "coarse-to-fine voxels"},
    {"hybrid", "pool and grid queries together"},
    {"hybrid_near", "pool and grid queries together"},
    {"hybrid_c2f", "pool and grid queries together"},
    {"trunc", "transformed targets"},
    {"log1p", "transformed targets"},
    {"ctx_none_test", "runs without context"},
    {"ctx_none_both_grid", "runs without context"},
    {"ctx_mismatch", "another shape's context"},
    {"ctx_mismatch_shift3_train", "another shape's context"},
    {"nn_copy_only_mismatch_hybrid", "another shape's context"},
    {"nn_copy_only_none", "runs without context"},
    {"lipschitz", "Lipschitz refinement of the head"},
    {"lipschitz_cap", "Lipschitz refinement of the head"},
    {"lipschitz_off_by_transform", "Lipschitz refinement of the head"},
    {"lipschitz_skip", "Lipschitz refinement of the head"},
    {"transductive", "head fitted on the measured split"},
    {"transductive_n4", "head fitted on the measured split"},
    {"encdec", "encoder-decoder models"},
    {"mesh_eval_fails", "meshes of completed fields"},
};

const nlohmann::json& Golden() {
  static const auto* json = [] {
    EnterGoldenFolder();
    return new nlohmann::json(GoldenJson("cpac.json"));
  }();
  return *json;
}

const NpzReader& GoldenNpz() {
  static const auto* npz = new NpzReader(ValueOrDie(NpzReader::Open("cpac.npz")));
  return *npz;
}

CpacConfig PublishedConfig(const nlohmann::json& run) {
  CpacConfig config;
  config.set_cache_root("c40");
  config.set_split("test");
  config.set_ckpt("ckpt/" + run["ckpt"].get<std::string>() + ".pt");
  config.set_batch(6);
  ApplyPublishedArguments(run["args"], &config);
  return config;
}

bool Offered(const nlohmann::json& run) {
  if (run["ckpt"] == "encdec") return false;
  try {
    const CpacConfig config = PublishedConfig(run);
    return CheckConfig(config).ok() && config.head_train_split() != "none" &&
           !config.head_train_split().empty();
  } catch (const std::runtime_error&) {
    return false;  // an option without a field
  }
}

TEST(CpacGoldenTable, SkipsExactlyWhatIsNotOffered) {
  size_t skipped = 0;
  for (const auto& run : Golden()["runs"]) {
    EXPECT_EQ(Offered(run), kSkipped.count(run["name"]) == 0) << run["name"];
    skipped += kSkipped.count(run["name"]);
  }
  EXPECT_EQ(skipped, kSkipped.size());
}

struct Case {
  std::string name;
  size_t run;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (size_t i = 0; i < Golden()["runs"].size(); ++i) {
    const std::string name = Golden()["runs"][i]["name"];
    if (kSkipped.count(name) == 0) cases.push_back({name, i});
  }
  return cases;
}

template <class T>
std::vector<T> Flat(const at::Tensor& tensor) {
  const at::Tensor values = tensor.contiguous();
  const T* data = values.const_data_ptr<T>();
  return {data, data + values.numel()};
}

double WorstDifference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    worst = std::max(worst, std::abs(double{a[i]} - double{b[i]}));
  return worst;
}

std::vector<float> Flat(const PointsF& points) { return {points.data(), points.data() + points.size()}; }

class CpacGolden : public testing::TestWithParam<Case> {
 protected:
  struct Sampled {
    std::string path;
    CompletionSample sample;
  };

  void SetUp() override {
    run_ = Golden()["runs"][GetParam().run];
    config_ = PublishedConfig(run_);
    const auto open = [](const std::string& split) {
      return std::make_shared<const ShapeList>(ValueOrDie(ShapeList::Open("c40", split)));
    };
    LoadedModel model = GoldenModel(run_["ckpt"]);
    trace_.sample = [this](const std::string& path, const CompletionSample& sample) {
      samples_.push_back({path, sample});
    };
    result_ = ValueOrDie(MeasureCpac(config_, open("test"), open("train_udf"), &model, &trace_));
  }

  bool Has(const std::string& array) const { return GoldenNpz().Has(GetParam().name + "/" + array); }
  template <class T>
  std::vector<T> Array(const std::string& name) const {
    return GoldenArray<T>(GoldenNpz(), GetParam().name + "/" + name);
  }

  /// The first draw of every call: both choices in one where they are disjoint pool points.
  void CheckFirstDraws() const {
    if (!Has("first_choice_all_calls")) return;
    const std::vector<int64_t> golden = Array<int64_t>("first_choice_all_calls");
    // Published runs with a baseline sample the measured shapes once more, and first.
    const size_t before = config_.baseline() == "none" ? 0 : Golden()["files"].size();
    const bool one_draw = config_.disjoint_context_query() && config_.query_source() == "pool";
    const size_t width = config_.n_context() + (one_draw ? config_.n_query() : 0);
    ASSERT_EQ(golden.size(), (before + samples_.size()) * width);
    for (size_t c = 0; c < samples_.size(); ++c) {
      std::vector<int64_t> drawn = samples_[c].sample.context_indices;
      const auto& queries = samples_[c].sample.query_indices;
      if (one_draw) drawn.insert(drawn.end(), queries.begin(), queries.end());
      const auto first = golden.begin() + (before + c) * width;
      EXPECT_EQ(drawn, std::vector<int64_t>(first, first + width)) << samples_[c].path;
    }
  }

  void CheckShapes() const {
    for (const auto& shape : run_["shapes"]) {
      const std::string tag = shape["tag"].get<std::string>() + "/";
      const auto ours_it = std::find_if(samples_.begin(), samples_.end(), [&](const Sampled& sampled) {
        return sampled.path == shape["path"];
      });
      ASSERT_NE(ours_it, samples_.end()) << shape["path"];
      const Sampled& ours = *ours_it;
      EXPECT_EQ(Flat(ours.sample.context_xyz), Array<float>(tag + "ctx_xyz")) << tag;
      EXPECT_EQ(ours.sample.context_distance, Array<float>(tag + "ctx_dist")) << tag;
      EXPECT_EQ(Flat(ours.sample.query_xyz), Array<float>(tag + "q_xyz")) << tag;
      EXPECT_EQ(ours.sample.query_distance, Array<float>(tag + "q_dist")) << tag;
    }
  }

  void CheckRows() const {
    const at::Tensor x_test = at::cat(trace_.x_test);
    EXPECT_LE(WorstDifference(Flat<float>(x_test.narrow(0, 0, 2)), Array<float>("X_test_first2rows")), 1e-5);
    EXPECT_EQ(trace_.truth, Array<float>("y_test_all"));
    EXPECT_EQ(at::cat(trace_.x_train).size(0), run_["n_rows_train"].get<int64_t>());
    if (!Has("X_train")) return;
    EXPECT_LE(WorstDifference(Flat<float>(at::cat(trace_.x_train)), Array<float>("X_train")), 1e-5);
    EXPECT_LE(WorstDifference(Flat<float>(x_test), Array<float>("X_test")), 1e-5);
    EXPECT_EQ(trace_.y_train, Array<float>("y_train"));
  }

  void CheckMetric(const std::string& key, const nlohmann::json& value) const {
    double tolerance = 1e-4;
    if (key.find("iou") != std::string::npos) {
      // A prediction next to tau may fall on either side.
      double close = 0;
      for (const float p : trace_.predicted) close += std::abs(p - config_.tau()) < 1e-4;
      tolerance = 1e-6 + close / std::max<size_t>(1, trace_.predicted.size()) * 4;
    }
    EXPECT_NEAR(MetricOr(result_.record(), key, NAN), value.get<double>(), tolerance) << key;
  }

  nlohmann::json run_;
  CpacConfig config_;
  CpacTrace trace_;
  CpacResult result_;
  std::vector<Sampled> samples_;
};

TEST_P(CpacGolden, DrawsStatesHeadPredictionsAndMetrics) {
  CheckFirstDraws();
  CheckShapes();
  CheckRows();
  // Weights reach 2.5; 1e-4 is meant for values of order one.
  const std::vector<float> head = Array<float>("w");
  float largest = 1;
  for (const float w : head) largest = std::max(largest, std::abs(w));
  EXPECT_LE(WorstDifference(Flat<float>(trace_.head), head), 1e-4 * largest);
  EXPECT_LE(WorstDifference(trace_.predicted, Array<float>("pred_transformed_all")), 1e-4);

  // Keys of options that are not offered; "baseline" is compared member by member.
  const auto absent = [](const std::string& key) {
    for (const char* prefix : {"ridge_lipschitz", "grid_res_", "grid_c2f_", "query_pool_frac",
                               "mismatch_shift", "target_trunc_max", "target_log_scale"})
      if (key.rfind(prefix, 0) == 0) return true;
    return false;
  };
  for (const auto& [key, value] : run_["metrics"].items()) {
    if (key == "ckpt" || absent(key)) continue;
    if (value.is_object()) {
      for (const auto& [member, number] : value.items()) {
        const std::string name = absl::StrCat(key, ".", member);
        if (number.is_string()) {
          EXPECT_EQ(SettingOf(result_.record(), name), number.dump());
        } else {
          CheckMetric(name, number);
        }
      }
      continue;
    }
    const std::string setting = SettingOf(result_.record(), key);
    if (setting.empty()) {
      CheckMetric(key, value);
    } else {
      EXPECT_EQ(nlohmann::json::parse(setting), value) << key;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Published, CpacGolden, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace manyform

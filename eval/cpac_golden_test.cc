// Completion on the golden cache against the published system's numbers, run by run.
#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/strings/str_cat.h"
#include "eval/cpac_measure.h"
#include "eval/cpac_plan.h"
#include "eval/golden_for_test.h"
#include "eval/record.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

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

struct Case {
  std::string name;
  size_t run;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (size_t i = 0; i < Golden()["runs"].size(); ++i) {
    const std::string name = Golden()["runs"][i]["name"];
    cases.push_back({name, i});
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
    plan_ = ValueOrDie(PlanCpac(config_, open("test"), open("train_udf")));
    LoadedModel model = GoldenModel(run_["ckpt"]);
    LoadedModel* const used = config_.baseline_only() ? nullptr : &model;
    trace_.sample = [this](const std::string& path, const CompletionSample& sample) {
      samples_.push_back({path, sample});
    };
    result_ = ValueOrDie(MeasureCpac(config_, open("test"), open("train_udf"), used, &trace_));
  }

  bool Has(const std::string& array) const { return GoldenNpz().Has(GetParam().name + "/" + array); }
  template <class T>
  std::vector<T> Array(const std::string& name) const {
    return GoldenArray<T>(GoldenNpz(), GetParam().name + "/" + name);
  }

  /// The first draw of every call, where it is not thrown away: both choices in one if they are disjoint.
  void CheckFirstDraws() const {
    if (!Has("first_choice_all_calls")) return;
    const CompletionOptions& options = plan_.test.options;
    if (options.context_mode != ContextMode::kNormal) return;
    if (plan_.head_run->options.context_mode != ContextMode::kNormal) return;
    const std::vector<int64_t> golden = Array<int64_t>("first_choice_all_calls");
    // Published runs with a baseline sample the measured shapes once more, and first; those with meshes more
    // at the end.
    const bool twice = plan_.baseline && !config_.baseline_only();
    const size_t before = twice ? plan_.test.size() : 0;
    const int64_t asked = options.disjoint ? options.PoolQueries() : 0;
    const size_t width = options.n_context + asked;
    ASSERT_GE(golden.size(), (before + samples_.size()) * width);
    for (size_t c = 0; c < samples_.size(); ++c) {
      std::vector<int64_t> drawn = samples_[c].sample.context_indices;
      const auto& queries = samples_[c].sample.query_indices;
      drawn.insert(drawn.end(), queries.begin(), queries.begin() + asked);
      const auto first = golden.begin() + (before + c) * width;
      EXPECT_EQ(drawn, std::vector<int64_t>(first, first + width)) << samples_[c].path;
    }
  }

  void CheckShapes() const {
    for (const auto& shape : run_["shapes"]) {
      const std::string tag = shape["tag"].get<std::string>() + "/";
      const auto ours_it = std::find_if(samples_.begin(), samples_.end(), [&](const Sampled& sampled) {
        return sampled.path == shape["path"].get<std::string>();
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
    if (config_.baseline_only()) return;
    const at::Tensor x_test = at::cat(trace_.x_test);
    EXPECT_LE(WorstDifference(Flat<float>(x_test.narrow(0, 0, 2)), Array<float>("X_test_first2rows")), 1e-5);
    EXPECT_EQ(trace_.truth, Array<float>("y_test_all"));
    EXPECT_EQ(at::cat(trace_.rows.x).size(0), run_["n_rows_train"].get<int64_t>());
    if (!Has("X_train")) return;
    EXPECT_LE(WorstDifference(Flat<float>(at::cat(trace_.rows.x)), Array<float>("X_train")), 1e-5);
    EXPECT_LE(WorstDifference(Flat<float>(x_test), Array<float>("X_test")), 1e-5);
    EXPECT_EQ(trace_.rows.y, Array<float>("y_train"));
  }

  void CheckMetric(const std::string& key, const nlohmann::json& value) const {
    double tolerance = Refined() ? 3e-3 : 1e-4;
    if (key.find("lipschitz_info") != std::string::npos) {
      const bool before = key.find("init_lip") != std::string::npos;
      tolerance = (before ? 1e-3 : 0.02) * std::abs(value.get<double>());
    } else if (key.find("iou") != std::string::npos) {
      // A prediction next to tau may fall on either side.
      double close = 0;
      for (const float p : trace_.predicted) close += std::abs(p - config_.tau()) < 1e-4;
      tolerance = 1e-6 + close / std::max<size_t>(1, trace_.predicted.size()) * 4;
      if (Refined()) tolerance = 0.03;
    }
    EXPECT_NEAR(MetricOr(result_.record(), key, NAN), value.get<double>(), tolerance) << key;
  }

  /// Adam's first steps from a ridge optimum have the length of the learning rate, whichever way rounding
  /// points the gradients that are zero there. Such runs agree up to a fraction of such a step (0.01).
  bool Refined() const { return MetricOr(result_.record(), "ridge_lipschitz_info.loss", -1) >= 0; }

  void CheckHead() const {
    if (config_.baseline_only()) return;
    // Weights reach 2.5; 1e-4 is meant for values of order one.
    const std::vector<float> head = Array<float>("w");
    float largest = 1;
    for (const float w : head) largest = std::max(largest, std::abs(w));
    EXPECT_LE(WorstDifference(Flat<float>(trace_.head), head), Refined() ? 5e-3 : 1e-4 * largest);
    EXPECT_LE(WorstDifference(trace_.predicted, Array<float>("pred_transformed_all")),
              Refined() ? 0.03 : 1e-4);
  }

  void CheckKey(const std::string& key, const nlohmann::json& value) const {
    if (value.is_object()) {
      for (const auto& [member, inner] : value.items()) CheckKey(absl::StrCat(key, ".", member), inner);
      return;
    }
    const std::string setting = SettingOf(result_.record(), key);
    if (setting.empty()) {
      ASSERT_TRUE(value.is_number()) << key << " is missing";
      CheckMetric(key, value);
    } else {
      EXPECT_EQ(nlohmann::json::parse(setting), value) << key;
    }
  }

  nlohmann::json run_;
  CpacConfig config_;
  CpacPlan plan_;
  CpacTrace trace_;
  CpacResult result_;
  std::vector<Sampled> samples_;
};

TEST_P(CpacGolden, DrawsStatesHeadPredictionsAndMetrics) {
  CheckFirstDraws();
  CheckShapes();
  CheckRows();
  CheckHead();
  for (const auto& [key, value] : run_["metrics"].items()) {
    // The path differs, and the published mesh evaluation fails. Without a model nobody knows its layout.
    const bool of_model = key == "add_eos" || key == "qa_tokens" || key == "qa_layout";
    if (key == "ckpt" || key == "mesh_eval" || (of_model && config_.baseline_only())) continue;
    CheckKey(key, value);
  }
}

INSTANTIATE_TEST_SUITE_P(Published, CpacGolden, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace manyform

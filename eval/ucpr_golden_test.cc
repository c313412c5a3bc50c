// Retrieval on the golden cache against the published system's numbers, run by run.
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "eval/golden_for_test.h"
#include "eval/record.h"
#include "eval/ucpr.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

const nlohmann::json& Golden() {
  static const auto* json = [] {
    EnterGoldenFolder();
    return new nlohmann::json(GoldenJson("ucpr.json"));
  }();
  return *json;
}

struct Case {
  std::string name;
  size_t run;
};

// chunk7_max25 is there for its --chunk, which does not change results and is no option of ours; what is left
// of it is --max_files.
std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (size_t i = 0; i < Golden()["runs"].size(); ++i) {
    const auto& run = Golden()["runs"][i];
    cases.push_back({run["name"], i});
  }
  return cases;
}

class UcprGolden : public testing::TestWithParam<Case> {};

nlohmann::json WithoutChunk(nlohmann::json args) {
  for (size_t i = 0; i + 1 < args.size(); ++i) {
    if (args[i] == "--chunk") args.erase(args.begin() + i, args.begin() + i + 2), --i;
  }
  return args;
}

void ExpectNear(const std::vector<float>& golden, const at::Tensor& ours, float tolerance, const char* what) {
  ASSERT_EQ(static_cast<int64_t>(golden.size()), ours.numel());
  float worst = 0;
  for (size_t i = 0; i < golden.size(); ++i)
    worst = std::max(worst, std::abs(golden[i] - ours.const_data_ptr<float>()[i]));
  EXPECT_LE(worst, tolerance) << what;
}

TEST_P(UcprGolden, EmbeddingsScoresRanksAndMetrics) {
  const auto& run = Golden()["runs"][GetParam().run];
  const std::string name = run["name"];
  const NpzReader npz = ValueOrDie(NpzReader::Open("ucpr.npz"));
  UcprConfig config;
  config.set_cache_root("c40");
  config.set_split("train");
  config.set_ckpt("ckpt/" + run["ckpt"].get<std::string>() + ".pt");
  config.set_batch(7);
  ApplyPublishedArguments(WithoutChunk(run["args"]), &config);
  const auto shapes = std::make_shared<const ShapeList>(ValueOrDie(ShapeList::Open("c40", "train")));
  LoadedModel model = GoldenModel(run["ckpt"]);
  std::vector<float> scores;
  UcprTrace trace = {.scores = [&](int64_t, std::span<const float> block) {
    scores.insert(scores.end(), block.begin(), block.end());
  }};
  const UcprResult result = ValueOrDie(MeasureUcpr(config, shapes, &model, &trace));

  const bool constant = config.sanity_constant_embed();
  if (!constant) {
    ExpectNear(GoldenArray<float>(npz, name + "/query_emb"), trace.query, 1e-5f, "query");
    ExpectNear(GoldenArray<float>(npz, name + "/gallery_emb"), trace.gallery, 1e-5f, "gallery");
  }
  const std::vector<float> golden_scores = GoldenArray<float>(npz, name + "/scores_with_noise");
  ASSERT_EQ(scores.size(), golden_scores.size());
  for (size_t i = 0; i < scores.size(); ++i) ASSERT_NEAR(scores[i], golden_scores[i], 2e-6) << i;

  // Where another score comes within rounding of the true one's, a rank may differ by as many.
  const std::vector<int64_t> golden_ranks = GoldenArray<int64_t>(npz, name + "/ranks");
  const int64_t n = static_cast<int64_t>(golden_ranks.size());
  ASSERT_EQ(static_cast<int64_t>(trace.ranks.size()), n);
  int64_t close_calls = 0;
  for (int64_t i = 0; i < n; ++i) {
    int64_t close = 0;
    for (int64_t j = 0; j < n; ++j)
      close += j != i && std::abs(scores[i * n + j] - scores[i * n + i]) < 2e-6f;
    if (constant) close = config.tie_break_eps() > 0 ? close : 0;
    EXPECT_LE(std::abs(trace.ranks[i] - golden_ranks[i]), close) << "shape " << i;
    close_calls += trace.ranks[i] != golden_ranks[i];
  }
  const auto& metrics = run["metrics"];
  for (const auto& [key, value] : metrics.items()) {
    if (key == "ckpt") continue;
    const std::string ours = SettingOf(result.record(), key);
    if (!ours.empty()) {
      EXPECT_EQ(nlohmann::json::parse(ours), value) << key;
      continue;
    }
    const double tolerance = close_calls == 0 ? 1e-7 : 1e-7 + static_cast<double>(close_calls) / n;
    EXPECT_NEAR(MetricOr(result.record(), key, NAN), value.get<double>(), tolerance) << key;
  }
}

INSTANTIATE_TEST_SUITE_P(Published, UcprGolden, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace manyform

// A published .pt, imported, measures what the published system measured with it.
#include <ATen/ATen.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "eval/cpac.h"
#include "eval/golden_for_test.h"
#include "eval/record.h"
#include "eval/ucpr.h"
#include "gtest/gtest.h"
#include "model/import_checkpoint.h"

namespace manyform {
namespace {

// ckpt/qa.pt as ours: its path.
std::string Imported() {
  EnterGoldenFolder();
  ImportCheckpointConfig config;
  config.set_input("ckpt/qa.pt");
  config.set_output(testing::TempDir() + "/imported/last.safetensors");
  return ValueOrDie(ImportCheckpoint(config)).checkpoint();
}

TEST(ImportedCheckpoint, HasTheHeaderThatItsArgumentsMake) {
  const LoadedModel ours = ValueOrDie(LoadModel(Imported())), golden = GoldenModel("qa");
  EXPECT_EQ(ours.hash, HashTensors(golden.model.parameters()));
  EXPECT_EQ(ours.header.n_point(), golden.header.n_point());
  EXPECT_EQ(ours.header.n_ray(), golden.header.n_ray());
  EXPECT_EQ(ours.header.qa_tokens(), golden.header.qa_tokens());
  EXPECT_EQ(ours.header.qa_layout(), golden.header.qa_layout());
  EXPECT_EQ(ours.header.add_eos(), golden.header.add_eos());
  EXPECT_EQ(ours.header.step(), 30);
}

TEST(ImportedCheckpoint, RetrievesAsPublished) {
  const std::string ckpt = Imported();
  const nlohmann::json run = GoldenJson("ucpr.json")["runs"][0];
  ASSERT_EQ(run["ckpt"], "qa");
  UcprConfig config;
  config.set_cache_root("c40");
  config.set_split("train");
  config.set_ckpt(ckpt);
  config.set_num_threads(1);
  ApplyPublishedArguments(run["args"], &config);
  LoadedModel model = ValueOrDie(LoadModel(ckpt));
  const auto shapes = std::make_shared<const ShapeList>(ValueOrDie(ShapeList::Open("c40", "train")));
  UcprTrace trace;
  ValueOrDie(MeasureUcpr(config, shapes, &model, &trace));
  const NpzReader npz = ValueOrDie(NpzReader::Open("ucpr.npz"));
  const std::string name = run["name"];
  for (const auto& [array, ours] : {std::pair("query_emb", trace.query), {"gallery_emb", trace.gallery}}) {
    std::vector<float> golden = GoldenArray<float>(npz, name + "/" + array);
    ASSERT_EQ(static_cast<int64_t>(golden.size()), ours.numel());
    const at::Tensor expected = at::from_blob(golden.data(), ours.sizes(), at::kFloat);
    EXPECT_LT((ours - expected).abs().max().item<double>(), 1e-5) << array;
  }
  EXPECT_EQ(trace.ranks, GoldenArray<int64_t>(npz, name + "/ranks"));
}

TEST(ImportedCheckpoint, CompletesAsPublished) {
  const std::string ckpt = Imported();
  const nlohmann::json run = GoldenJson("cpac.json")["runs"][0];
  ASSERT_EQ(run["ckpt"], "qa");
  CpacConfig config;
  config.set_cache_root("c40");
  config.set_split("test");
  config.set_ckpt(ckpt);
  config.set_num_threads(1);
  ApplyPublishedArguments(run["args"], &config);
  const CpacResult result = ValueOrDie(Cpac(config));
  for (const char* metric : {"mae", "rmse"})
    EXPECT_NEAR(MetricOr(result.record(), metric, NAN), run["metrics"][metric].get<double>(), 1e-4) << metric;
}

}  // namespace
}  // namespace manyform

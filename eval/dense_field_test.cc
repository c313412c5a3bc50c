#include "eval/dense_field.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "ATen/ATen.h"
#include "eval/golden_for_test.h"
#include "geometry/grid.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

PointsF PointsOf(const std::vector<float>& values) {
  PointsF points(static_cast<Eigen::Index>(values.size() / 3), 3);
  std::copy(values.begin(), values.end(), points.data());
  return points;
}

at::Tensor TensorOf(const std::vector<float>& values) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<float>());
  return tensor;
}

StateOptions OptionsOf(const LoadedModel& model, int64_t batch) {
  LayoutOptions layout = {.qa_tokens = model.header.qa_tokens(), .add_eos = model.header.add_eos()};
  layout.qa_layout = ValueOrDie(ParseQaLayout(model.header.qa_layout()));
  return {.layout = layout, .batch = batch};
}

TEST(PredictPoints, GivesThePublishedVolume) {
  EnterGoldenFolder();
  const NpzReader npz = ValueOrDie(NpzReader::Open("mesh_eval.npz"));
  const LoadedModel model = GoldenModel("qa");
  const CompletionSample context = {.context_xyz = PointsOf(GoldenArray<float>(npz, "dense/ctx_xyz")),
                                    .context_distance = GoldenArray<float>(npz, "dense/ctx_dist")};
  const at::Tensor head = TensorOf(GoldenArray<float>(npz, "dense/w"));
  const std::vector<float> golden = GoldenArray<float>(npz, "dense/pred_res8_chunk30");
  const PointsF centres = GridCentres(8);
  for (const int64_t batch : {1, 5, 100}) {
    const std::vector<float> predicted =
        PredictPoints(model.model, head, context, centres, ChunksInOrder(512, 30), OptionsOf(model, batch));
    float worst = 0;
    for (int i = 0; i < 512; ++i) worst = std::max(worst, std::abs(std::max(predicted[i], 0.0f) - golden[i]));
    EXPECT_LE(worst, 1e-4) << batch;
  }
}

// A chunk's last point has no later one: with one point a chunk the chunks do not matter.
TEST(PredictPoints, DependsOnTheChunksOnlyThroughEarlierQueries) {
  EnterGoldenFolder();
  for (const char* name : {"qa", "split", "legacy", "encdec"}) {
    const LoadedModel model = GoldenModel(name);
    CompletionSample context;
    context.context_xyz = GridCentres(2);
    context.context_distance.assign(8, 0.25f);
    const PointsF points = GridCentres(3);
    const at::Tensor head = at::linspace(-1, 1, 49);
    const auto predict = [&](const Chunks& chunks, int64_t batch) {
      return PredictPoints(model.model, head, context, points, chunks, OptionsOf(model, batch));
    };
    const std::vector<float> alone = predict(ChunksInOrder(27, 1), 27);
    for (const int64_t most : {4, 10}) {
      const Chunks chunks = SpreadChunks(points, most);
      const std::vector<float> together = predict(chunks, 3);
      const std::vector<float> again = predict(chunks, 1);
      for (int i = 0; i < 27; ++i) EXPECT_NEAR(together[i], again[i], 1e-4) << name;
      if (std::string(name) == "encdec") continue;  // queries see all others
      for (const std::vector<int64_t>& chunk : chunks)
        EXPECT_NEAR(together[chunk[0]], alone[chunk[0]], 1e-4) << name;
    }
  }
}

TEST(Chunks, HoldEveryPointOnceAndNoMoreThanAsked) {
  const PointsF points = GridCentres(5);
  for (const int64_t most : {1, 7, 125, 1000}) {
    for (const Chunks& chunks : {ChunksInOrder(125, most), SpreadChunks(points, most)}) {
      std::set<int64_t> seen;
      for (const std::vector<int64_t>& chunk : chunks) {
        EXPECT_LE(static_cast<int64_t>(chunk.size()), most);
        EXPECT_FALSE(chunk.empty());
        seen.insert(chunk.begin(), chunk.end());
      }
      EXPECT_EQ(seen.size(), 125);
      EXPECT_EQ(static_cast<int64_t>(chunks.size()), (125 + most - 1) / most);
    }
  }
}

}  // namespace
}  // namespace manyform

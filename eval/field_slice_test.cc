#include "eval/field_slice.h"

#include <memory>
#include <vector>

#include "ATen/ATen.h"
#include "eval/golden_for_test.h"
#include "eval/ridge.h"
#include "geometry/ordering.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

// Chunks of every n-th cell in Morton order, asked one by one and without the padding that makes them alike.
TEST(CompleteSlice, AgreesWithChunksAskedOneByOne) {
  EnterGoldenFolder();
  for (const char* name : {"qa", "split", "legacy"}) {
    LoadedModel model = GoldenModel(name);
    model.model.ResizePositions(300);
    LayoutOptions layout = {.qa_tokens = model.header.qa_tokens()};
    if (std::string(name) == "split") layout.qa_layout = QaLayout::kSplit;
    const int64_t n_query = 100, chunks = 3;  // 256 cells: 86, 85 and 85
    CompletionRun run = {
        .shapes = std::make_shared<const ShapeList>(ValueOrDie(ShapeList::Open("c40", "test"))),
        .members = {0, 1, 2, 3, 4},
        .context = {.backend = Backend::kPointcloudNoray},
        .options = {.n_context = 24, .n_query = n_query},
        .seed = 5};
    const at::Tensor head = at::linspace(-1, 1, 49);
    const FieldSlice slice =
        ValueOrDie(CompleteSlice(run, 4, &model.model, head, {.layout = layout, .batch = 2}));
    ASSERT_EQ(slice.predicted_size(), 256);

    const CompletionSample sample = ValueOrDie(SampleShape(run, 4));
    std::vector<int64_t> voxels;
    for (int64_t i = 0; i < 256; ++i) voxels.push_back(i * 16 + 8);
    const PointsF layer = VoxelCentres(voxels, 16);
    for (int64_t i = 0; i < 256; ++i) EXPECT_NEAR(layer(i, 2), 1.0f / 16, 1e-6) << "just above z = 0";
    const std::vector<int32_t> order = MortonOrder(layer);
    for (int64_t c = 0; c < chunks; ++c) {
      std::vector<int64_t> cells;
      for (size_t i = c; i < order.size(); i += chunks) cells.push_back(order[i]);
      PointsF queries(cells.size(), 3);
      for (size_t i = 0; i < cells.size(); ++i) queries.row(i) = layer.row(cells[i]);
      const int64_t count = static_cast<int64_t>(cells.size());
      const int64_t length = SequenceLength(24 + count, 0, layout);
      std::vector<float> feat(length * kFeatures);
      std::vector<uint8_t> type(length);
      WriteCompletionTokens(sample.context_xyz, sample.context_distance, queries, layout, feat, type);
      const at::Tensor states =
          QueryStates(model.model, FeatureTensor(feat.data(), 1, length), TypeTensor(type.data(), 1, length),
                      QueryTokenPositions(24, count, layout), false);
      const at::Tensor expected = ApplyRidge(states, head);
      for (int64_t i = 0; i < count; ++i)
        EXPECT_NEAR(slice.predicted(static_cast<int>(cells[i])), expected[i].item<float>(), 1e-4) << name;
    }
  }
}

}  // namespace
}  // namespace manyform

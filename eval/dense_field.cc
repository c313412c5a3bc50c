#include "eval/dense_field.h"

#include <algorithm>
#include <numeric>

#include "ATen/ATen.h"
#include "c10/core/InferenceMode.h"
#include "eval/ridge.h"
#include "geometry/ordering.h"
#include "model/checkpoint.h"

namespace manyform {
namespace {

/// Chunks [first, first + count), all of `queries` points: one batch.
void PredictBatch(const QueryTransformer& model, const at::Tensor& head, const CompletionSample& context,
                  const PointsF& points, std::span<const std::vector<int64_t>> chunks,
                  const StateOptions& options, std::vector<float>* predicted) {
  const int64_t n_context = context.context_xyz.rows();
  const auto queries = static_cast<int64_t>(chunks[0].size()), batch = static_cast<int64_t>(chunks.size());
  const int64_t length = SequenceLength(n_context + queries, 0, options.layout);
  std::vector<float> feat(batch * length * kFeatures);
  std::vector<uint8_t> type(batch * length);
  PointsF asked(queries, 3);
  for (int64_t c = 0; c < batch; ++c) {
    for (int64_t i = 0; i < queries; ++i) asked.row(i) = points.row(chunks[c][i]);
    WriteCompletionTokens(context.context_xyz, context.context_distance, asked, options.layout,
                          std::span(feat).subspan(c * length * kFeatures, length * kFeatures),
                          std::span(type).subspan(c * length, length));
  }
  const std::vector<int64_t> positions = QueryTokenPositions(n_context, queries, options.layout);
  const at::Tensor states =
      QueryStates(model, FeatureTensor(feat.data(), batch, length, model.device()),
                  TypeTensor(type.data(), batch, length, model.device()), positions, options.z_hat);
  const at::Tensor values = ApplyRidge(states, head).contiguous();
  const float* value = values.const_data_ptr<float>();
  for (const std::vector<int64_t>& chunk : chunks)
    for (const int64_t row : chunk) (*predicted)[row] = *value++;
}

}  // namespace

Chunks ChunksInOrder(int64_t points, int64_t most) {
  Chunks chunks((points + most - 1) / most);
  for (int64_t i = 0; i < points; ++i) chunks[i / most].push_back(i);
  return chunks;
}

Chunks SpreadChunks(const PointsF& points, int64_t most) {
  const std::vector<int32_t> order = MortonOrder(points);
  const int64_t n = points.rows(), count = (n + most - 1) / most;
  Chunks chunks(count);
  for (int64_t i = 0; i < n; ++i) chunks[i % count].push_back(order[i]);
  return chunks;
}

std::vector<float> PredictPoints(const QueryTransformer& model, const at::Tensor& head,
                                 const CompletionSample& context, const PointsF& points, const Chunks& chunks,
                                 const StateOptions& options) {
  const c10::InferenceMode no_gradients;
  std::vector<float> predicted(points.rows());
  for (size_t first = 0; first < chunks.size();) {
    // Chunks of one length, so that none needs padding.
    size_t end = first + 1;
    while (end < chunks.size() && chunks[end].size() == chunks[first].size() &&
           end - first < static_cast<size_t>(options.batch))
      ++end;
    PredictBatch(model, head, context, points, std::span(chunks).subspan(first, end - first), options,
                 &predicted);
    first = end;
  }
  return predicted;
}

}  // namespace manyform

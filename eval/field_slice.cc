#include "eval/field_slice.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "ATen/ATen.h"
#include "base/status_macros.h"
#include "c10/core/InferenceMode.h"
#include "eval/ridge.h"
#include "geometry/ordering.h"
#include "model/checkpoint.h"

namespace manyform {
namespace {

/// Chunk c asks cells c, c + chunks, c + 2 chunks ... of the layer's Morton order.
std::vector<std::vector<int64_t>> SpreadChunks(const PointsF& layer, int64_t n_query) {
  const std::vector<int32_t> order = MortonOrder(layer);
  const int64_t cells = layer.rows(), chunks = (cells + n_query - 1) / n_query;
  std::vector<std::vector<int64_t>> spread(chunks);
  for (int64_t i = 0; i < cells; ++i) spread[i % chunks].push_back(order[i]);
  return spread;
}

void PredictLayer(const QueryTransformer& model, const at::Tensor& head, const CompletionSample& sample,
                  const PointsF& layer, int64_t n_query, const StateOptions& options, float* predicted) {
  const c10::InferenceMode no_gradients;
  const int64_t n_context = sample.context_xyz.rows();
  const int64_t length = SequenceLength(n_context + n_query, 0, options.layout);
  const std::vector<int64_t> positions = QueryTokenPositions(n_context, n_query, options.layout);
  const std::vector<std::vector<int64_t>> chunks = SpreadChunks(layer, n_query);
  for (size_t first = 0; first < chunks.size(); first += options.batch) {
    const size_t count = std::min<size_t>(options.batch, chunks.size() - first);
    std::vector<float> feat(count * length * kFeatures);
    std::vector<uint8_t> type(count * length);
    for (size_t c = 0; c < count; ++c) {
      PointsF queries(n_query, 3);
      // A shorter chunk repeats its last cell: later tokens of a causal model change nothing before them.
      const std::vector<int64_t>& cells = chunks[first + c];
      for (int64_t i = 0; i < n_query; ++i)
        queries.row(i) = layer.row(cells[std::min<size_t>(i, cells.size() - 1)]);
      WriteCompletionTokens(sample.context_xyz, sample.context_distance, queries, options.layout,
                            std::span(feat).subspan(c * length * kFeatures, length * kFeatures),
                            std::span(type).subspan(c * length, length));
    }
    const int64_t batch = static_cast<int64_t>(count);
    const at::Tensor states =
        QueryStates(model, FeatureTensor(feat.data(), batch, length, model.device()),
                    TypeTensor(type.data(), batch, length, model.device()), positions, options.z_hat);
    const at::Tensor values = ApplyRidge(states, head).contiguous();
    for (size_t c = 0; c < count; ++c) {
      const float* of_chunk = values.const_data_ptr<float>() + c * n_query;
      for (size_t i = 0; i < chunks[first + c].size(); ++i) predicted[chunks[first + c][i]] = of_chunk[i];
    }
  }
}

}  // namespace

absl::StatusOr<FieldSlice> CompleteSlice(const CompletionRun& run, int64_t shape,
                                         const QueryTransformer* model, const at::Tensor& head,
                                         const StateOptions& options) {
  MF_ASSIGN_OR_RETURN(const CompletionSample sample, SampleShape(run, shape));
  MF_ASSIGN_OR_RETURN(const DistanceGrid grid, LoadDistanceGrid(*run.shapes, shape));
  const int64_t g = grid.g, cells = g * g;
  std::vector<int64_t> voxels(cells);
  for (int64_t i = 0; i < cells; ++i) voxels[i] = i * g + g / 2;
  const PointsF layer = VoxelCentres(voxels, grid.g);

  FieldSlice slice;
  slice.set_key(run.shapes->key(shape));
  slice.set_resolution(grid.g);
  for (const int64_t voxel : voxels) slice.add_truth(grid.values[voxel]);
  MF_ASSIGN_OR_RETURN(const std::vector<float> baseline,
                      CopyNearest(sample.context_xyz, sample.context_distance, layer));
  slice.mutable_baseline()->Add(baseline.begin(), baseline.end());
  if (model != nullptr) {
    slice.mutable_predicted()->Resize(static_cast<int>(cells), 0.0f);
    PredictLayer(*model, head, sample, layer, run.options.n_query, options,
                 slice.mutable_predicted()->mutable_data());
  }
  return slice;
}

}  // namespace manyform

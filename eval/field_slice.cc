#include "eval/field_slice.h"

#include <vector>

#include "base/status_macros.h"
#include "eval/dense_field.h"

namespace manyform {

absl::StatusOr<FieldSlice> CompleteSlice(const CompletionRun& run, int64_t shape,
                                         const QueryTransformer* model, const at::Tensor& head,
                                         const StateOptions& options) {
  MF_ASSIGN_OR_RETURN(const CompletionSample sample, SampleShape(run, shape));
  MF_ASSIGN_OR_RETURN(const DistanceGrid grid, LoadDistanceGrid(*run.shapes, run.members[shape]));
  const int64_t g = grid.g, cells = g * g;
  std::vector<int64_t> voxels(cells);
  for (int64_t i = 0; i < cells; ++i) voxels[i] = i * g + g / 2;
  const PointsF layer = VoxelCentres(voxels, grid.g);

  FieldSlice slice;
  slice.set_key(run.shapes->key(run.members[shape]));
  slice.set_resolution(grid.g);
  for (const int64_t voxel : voxels) slice.add_truth(grid.values[voxel]);
  MF_ASSIGN_OR_RETURN(const std::vector<float> baseline,
                      CopyNearest(sample.context_xyz, sample.context_distance, layer));
  slice.mutable_baseline()->Add(baseline.begin(), baseline.end());
  if (model != nullptr) {
    const std::vector<float> predicted =
        PredictPoints(*model, head, sample, layer, SpreadChunks(layer, run.options.n_query), options);
    slice.mutable_predicted()->Add(predicted.begin(), predicted.end());
  }
  return slice;
}

}  // namespace manyform

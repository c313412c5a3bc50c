/// \file
/// Field completion over a split: samples shape by shape, and the model's states at their queries.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/backends.h"
#include "data/shape_list.h"
#include "eval/completion_sample.h"
#include "model/query_transformer.h"

namespace manyform {

/// Some shapes of a split, each sampled from the stream EvalSeed(path, seed, 0).
struct CompletionRun {
  std::shared_ptr<const ShapeList> shapes;
  std::vector<int64_t> members;  ///< of `shapes`, in the order they are visited
  BackendOptions context;
  CompletionOptions options;
  /// ContextMode::kMismatch: shape i is told of shape i + mismatch_shift, around the end.
  int64_t mismatch_shift = 1;
  int64_t seed = 0;

  int64_t size() const { return static_cast<int64_t>(members.size()); }
  std::string path(int64_t i) const { return shapes->path(members[i]); }
};

/// Of the i-th of the run. \error as ShapeList::Answers, ShapeFile::Get and DrawCompletion, with the shape's
/// path.
absl::StatusOr<CompletionSample> SampleShape(const CompletionRun& run, int64_t i);
/// udf_grid and its side. \error NotFound or DataLoss naming the file, if it is no cube.
struct DistanceGrid {
  std::vector<float> values;
  int g = 0;
};
absl::StatusOr<DistanceGrid> LoadDistanceGrid(const ShapeList& shapes, int64_t shape);
/// Queries a shape really has: on a grid no more than it has voxels.
absl::StatusOr<int64_t> QueriesPerShape(const CompletionRun& run);

struct StateOptions {
  LayoutOptions layout;
  bool z_hat = false;  ///< predictions instead of hidden states
  int64_t batch = 32;
};

/// (B n_query, d) states at the query tokens of (B,T,15) features.
at::Tensor QueryStates(const QueryTransformer& model, const at::Tensor& feat, const at::Tensor& type,
                       std::span<const int64_t> query_positions, bool z_hat);

/// Called in the order of the run: its shapes from first_shape on, their samples, and the states of its
/// queries, row by row.
using CompletionVisitor = std::function<absl::Status(
    int64_t first_shape, std::span<const CompletionSample> samples, const at::Tensor& states)>;
/// Batches of shapes through the model. \error of the first shape that fails, or of the visitor;
/// InvalidArgument if shapes have distance grids of different size and so different numbers of queries.
absl::Status VisitCompletions(const QueryTransformer& model, const CompletionRun& run,
                              const StateOptions& options, const CompletionVisitor& visit);
/// The same without a model: `states` is undefined.
absl::Status VisitSamples(const CompletionRun& run, int num_threads, const CompletionVisitor& visit);

}  // namespace manyform

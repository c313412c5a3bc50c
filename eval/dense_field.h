/// \file
/// A completed distance field at any points of a shape: what the head says of them, in chunks that fit a
/// sequence.
#pragma once

#include <cstdint>
#include <vector>

#include "ATen/core/Tensor.h"
#include "eval/completion_run.h"
#include "geometry/types.h"

namespace manyform {

/// Rows of the points, chunk by chunk.
using Chunks = std::vector<std::vector<int64_t>>;

/// Points in their order, `most` a chunk, as published volumes are predicted.
Chunks ChunksInOrder(int64_t points, int64_t most);
/// Chunk c asks points c, c + chunks, c + 2 chunks ... of the Morton order: each is spread over all of them.
Chunks SpreadChunks(const PointsF& points, int64_t most);

/// The head's value at each point, in the target's space. Each chunk is one sequence after the context:
/// queries of a causal model see those before them in their chunk, so that values depend on the chunks.
std::vector<float> PredictPoints(const QueryTransformer& model, const at::Tensor& head,
                                 const CompletionSample& context, const PointsF& points, const Chunks& chunks,
                                 const StateOptions& options);

}  // namespace manyform

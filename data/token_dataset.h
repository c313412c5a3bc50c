/// \file
/// A dataset as a sequence maker: shapes, who answers for them, and what a sequence is made of.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "data/backends.h"
#include "data/shape_list.h"
#include "data/tokens.h"

namespace manyform {

/// Shape `i` of `shapes` through `backend` under `tokens`.
struct TokenDataset {
  std::shared_ptr<const ShapeList> shapes;
  BackendOptions backend;
  TokenOptions tokens;
};

/// Tokens of resample k in deterministic evaluation (drop probability 0; augmentation only if in_eval; MT
/// seeded by EvalSeed): the published numbers exactly. \error as ShapeList::Answers and DrawSample, with the
/// shape's path
absl::Status EvalTokens(const TokenDataset& dataset, int64_t shape, int64_t eval_seed, int64_t k,
                        std::span<float> feat, std::span<uint8_t> type);

/// Tokens of one training draw, from TrainStream(seed, epoch, draw): nothing has to be replayed on resume,
/// and it does not matter which thread draws. Distributed as published training draws (which are not
/// reproducible themselves), but without shuffling a whole pool for a few of its points.
absl::Status TrainTokens(const TokenDataset& dataset, int64_t shape, uint64_t seed, int64_t epoch,
                         int64_t draw, std::span<float> feat, std::span<uint8_t> type);

}  // namespace manyform

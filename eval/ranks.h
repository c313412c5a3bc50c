/// \file
/// Retrieval with one right answer per query: item i of the gallery answers query i.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "ATen/core/Tensor.h"

namespace manyform {

struct RankOptions {
  /// Scores get eps * N(0,1), drawn row by row from NumPy's stream `noise_seed`; 0 draws nothing.
  double tie_break_eps = 0;
  uint32_t noise_seed = 0;
  /// The best `nearest` gallery items are listed for these queries, in ascending order.
  int64_t nearest = 0;
  std::vector<int64_t> listed_queries;
  /// As many queries are listed likewise, those whose right answer ranks lowest.
  int64_t hardest = 0;
};

struct ListedQuery {
  int64_t query = 0, rank = 0;
  std::vector<int64_t> nearest;  ///< best first; equal ones by index
};

struct Ranking {
  /// (N) from 1: one more than the items that score higher, or equal with a smaller index.
  std::vector<int64_t> ranks;
  std::vector<ListedQuery> listed;   ///< as they were asked for
  std::vector<ListedQuery> hardest;  ///< lowest rank first; of equal ones the first query
};

/// Dot products of (N,d) f32 rows in blocks of queries that have at most 64 MiB of scores, or one query's.
/// \param scores called with (first query, (rows,N) scores) of each block; may be empty.
Ranking RankTrueItems(const at::Tensor& query, const at::Tensor& gallery, const RankOptions& options,
                      const std::function<void(int64_t, std::span<const float>)>& scores = {});

/// The rank of item `item` among `scores`.
int64_t RankOf(std::span<const float> scores, int64_t item);
/// The `count` best items, best first, equal ones by index.
std::vector<int64_t> BestItems(std::span<const float> scores, int64_t count);

struct RetrievalScores {
  double recall_at_1 = 0, recall_at_5 = 0, recall_at_10 = 0;
  double mrr = 0;  ///< mean 1/rank; with one right answer this is mAP
  double mean_rank = 0, median_rank = 0;
};
/// \pre not empty
RetrievalScores Summarize(std::span<const int64_t> ranks);
/// What a random order of n items is expected to score. \pre n > 0
RetrievalScores ExpectedByChance(int64_t n);

}  // namespace manyform

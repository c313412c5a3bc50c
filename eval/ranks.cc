#include "eval/ranks.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "ATen/ATen.h"
#include "base/numpy_random.h"

namespace manyform {
namespace {

constexpr int64_t kBlockRows = 256, kBlockScores = int64_t{1} << 24;

bool Better(std::span<const float> scores, int64_t a, int64_t b) {
  return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
}

// The queries with the largest ranks so far.
class Hardest {
 public:
  Hardest(int64_t count, int64_t nearest) : count_(static_cast<size_t>(count)), nearest_(nearest) {}
  void Offer(int64_t query, int64_t rank, std::span<const float> scores) {
    if (count_ == 0 || (listed_.size() == count_ && rank <= listed_.back().rank)) return;
    const auto place = std::upper_bound(listed_.begin(), listed_.end(), rank,
                                        [](int64_t r, const ListedQuery& other) { return r > other.rank; });
    listed_.insert(place, {query, rank, BestItems(scores, nearest_)});
    if (listed_.size() > count_) listed_.pop_back();
  }
  std::vector<ListedQuery> Take() { return std::move(listed_); }

 private:
  size_t count_;
  int64_t nearest_;
  std::vector<ListedQuery> listed_;
};

}  // namespace

int64_t RankOf(std::span<const float> scores, int64_t item) {
  const float own = scores[item];
  int64_t rank = 1;
  for (const float score : scores) rank += score > own;
  for (int64_t j = 0; j < item; ++j) rank += scores[j] == own;
  return rank;
}

std::vector<int64_t> BestItems(std::span<const float> scores, int64_t count) {
  std::vector<int64_t> items(scores.size());
  std::iota(items.begin(), items.end(), 0);
  count = std::min<int64_t>(count, static_cast<int64_t>(items.size()));
  std::partial_sort(items.begin(), items.begin() + count, items.end(),
                    [&](int64_t a, int64_t b) { return Better(scores, a, b); });
  items.resize(count);
  return items;
}

Ranking RankTrueItems(const at::Tensor& query, const at::Tensor& gallery, const RankOptions& options,
                      const std::function<void(int64_t, std::span<const float>)>& scores) {
  NumpyRandomState random(options.noise_seed);
  const float eps = static_cast<float>(options.tie_break_eps);
  const int64_t n = query.size(0), items = gallery.size(0);
  const at::Tensor gallery_t = gallery.t();
  Ranking ranking;
  ranking.ranks.reserve(n);
  auto listed = options.listed_queries.begin();
  Hardest hardest(options.hardest, options.nearest);
  const int64_t block_rows = std::clamp<int64_t>(kBlockScores / std::max<int64_t>(items, 1), 1, kBlockRows);
  for (int64_t first = 0; first < n; first += block_rows) {
    const int64_t rows = std::min(block_rows, n - first);
    const at::Tensor block = at::mm(query.narrow(0, first, rows), gallery_t).contiguous();
    const std::span<float> values(block.mutable_data_ptr<float>(), rows * items);
    if (options.tie_break_eps > 0) {
      for (float& value : values) value += eps * static_cast<float>(random.Normal());
    }
    if (scores) scores(first, values);
    for (int64_t i = 0; i < rows; ++i) {
      const std::span<const float> row = values.subspan(i * items, items);
      const int64_t rank = RankOf(row, first + i);
      ranking.ranks.push_back(rank);
      if (listed != options.listed_queries.end() && *listed == first + i) {
        ranking.listed.push_back({first + i, rank, BestItems(row, options.nearest)});
        ++listed;
      }
      hardest.Offer(first + i, rank, row);
    }
  }
  ranking.hardest = hardest.Take();
  return ranking;
}

RetrievalScores Summarize(std::span<const int64_t> ranks) {
  RetrievalScores sum;
  for (const int64_t rank : ranks) {
    sum.recall_at_1 += rank <= 1;
    sum.recall_at_5 += rank <= 5;
    sum.recall_at_10 += rank <= 10;
    sum.mrr += 1.0 / static_cast<double>(rank);
    sum.mean_rank += static_cast<double>(rank);
  }
  const double n = static_cast<double>(ranks.size());
  for (double* value : {&sum.recall_at_1, &sum.recall_at_5, &sum.recall_at_10, &sum.mrr, &sum.mean_rank})
    *value /= n;
  std::vector<int64_t> sorted(ranks.begin(), ranks.end());
  std::sort(sorted.begin(), sorted.end());
  const size_t half = sorted.size() / 2;
  const bool odd = sorted.size() % 2 == 1;
  sum.median_rank = odd ? static_cast<double>(sorted[half])
                        : (static_cast<double>(sorted[half - 1]) + static_cast<double>(sorted[half])) / 2;
  return sum;
}

RetrievalScores ExpectedByChance(int64_t n) {
  const double count = static_cast<double>(n);
  RetrievalScores chance;
  chance.recall_at_1 = 1 / count;
  chance.recall_at_5 = std::min(1.0, 5 / count);
  chance.recall_at_10 = std::min(1.0, 10 / count);
  for (int64_t rank = 1; rank <= n; ++rank) chance.mrr += 1.0 / static_cast<double>(rank) / count;
  chance.mean_rank = chance.median_rank = (count + 1) / 2;
  return chance;
}

}  // namespace manyform

#include "eval/neighbours.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"

namespace manyform {
namespace {

// Sums four at a time in an order that does not depend on where rows lie, so that equal rows are equally far.
template <class Term>
double Sum(Eigen::Index n, const Term& term) {
  double sums[4] = {0, 0, 0, 0};
  Eigen::Index i = 0;
  for (; i + 4 <= n; i += 4)
    for (int k = 0; k < 4; ++k) sums[k] += term(i + k);
  for (; i < n; ++i) sums[0] += term(i);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

double Dot(const double* a, const double* b, Eigen::Index n) {
  return Sum(n, [=](Eigen::Index i) { return a[i] * b[i]; });
}

double SquaredDistance(const double* a, const double* b, Eigen::Index n) {
  return Sum(n, [=](Eigen::Index i) { return (a[i] - b[i]) * (a[i] - b[i]); });
}

FeatureRows UnitRows(FeatureRows rows) {
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    const double norm = std::sqrt(Dot(rows.row(i).data(), rows.row(i).data(), rows.cols()));
    if (norm > 0) rows.row(i) /= norm;
  }
  return rows;
}

// Of the first k labels, nearest first.
int64_t Vote(std::span<const int64_t> nearest) {
  std::vector<std::pair<int64_t, int64_t>> counts;  // class and votes, by first appearance
  for (const int64_t label : nearest) {
    const auto own = std::find_if(counts.begin(), counts.end(),
                                  [label](const auto& count) { return count.first == label; });
    if (own == counts.end()) {
      counts.emplace_back(label, 1);
    } else {
      ++own->second;
    }
  }
  return std::max_element(counts.begin(), counts.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

}  // namespace

absl::StatusOr<std::vector<std::vector<int64_t>>> VoteOfNeighbours(const FeatureRows& rows,
                                                                   std::span<const int64_t> labels,
                                                                   const FeatureRows& asked,
                                                                   std::span<const int64_t> ks,
                                                                   Nearness nearness, int num_threads) {
  for (const int64_t k : ks)
    if (k < 1 || k > rows.rows())
      return absl::InvalidArgumentError(
          absl::StrCat("knn_k is ", k, ", expected 1 to ", rows.rows(), ", the shapes that vote"));
  const bool cosine = nearness == Nearness::kCosine;
  const FeatureRows from = cosine ? UnitRows(rows) : rows, to = cosine ? UnitRows(asked) : asked;
  const int64_t most = ks.empty() ? 0 : *std::max_element(ks.begin(), ks.end());
  std::vector<std::vector<int64_t>> votes(ks.size(), std::vector<int64_t>(asked.rows()));
  MF_RETURN_IF_ERROR(ParallelFor(asked.rows(), num_threads, [&](int64_t i) {
    std::vector<std::pair<double, int64_t>> far(rows.rows());
    for (int64_t j = 0; j < rows.rows(); ++j) {
      const double *a = to.row(i).data(), *b = from.row(j).data();
      far[j] = {cosine ? -Dot(a, b, rows.cols()) : SquaredDistance(a, b, rows.cols()), j};
    }
    std::partial_sort(far.begin(), far.begin() + most, far.end());
    std::vector<int64_t> nearest(most);
    for (int64_t n = 0; n < most; ++n) nearest[n] = labels[far[n].second];
    for (size_t k = 0; k < ks.size(); ++k) votes[k][i] = Vote(std::span(nearest).first(ks[k]));
    return absl::OkStatus();
  }));
  return votes;
}

}  // namespace manyform

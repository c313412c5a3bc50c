#include "eval/completion_head.h"

#include <algorithm>
#include <numeric>

#include "ATen/ATen.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

/// Drops all but the first `most` of a permutation of the rows that are left.
void Cap(int64_t most, NumpyRandomState& random, std::vector<int64_t>* rows) {
  const auto n = static_cast<int64_t>(rows->size());
  if (most <= 0 || n <= most) return;
  std::vector<int64_t> order = random.Permutation(n);
  order.resize(most);
  for (int64_t& row : order) row = (*rows)[row];
  *rows = std::move(order);
}

at::Tensor IndexTensor(const std::vector<int64_t>& values) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<int64_t>());
  return tensor;
}

}  // namespace

HeadBuilder::HeadBuilder(const HeadOptions& options, int64_t shapes, int64_t queries, int64_t features)
    : options_(options),
      queries_(queries),
      slots_(shapes * queries, -1),
      fit_(features),
      random_(options.lipschitz_seed) {
  std::vector<int64_t> used(slots_.size());
  std::iota(used.begin(), used.end(), 0);
  NumpyRandomState rows_random(options.row_seed);
  Cap(options.most_rows, rows_random, &used);
  if (options.lipschitz) {
    Cap(options.lipschitz_rows, random_, &used);
    const auto n = static_cast<int64_t>(used.size());
    kept_ = {at::empty({n, features}), at::empty({n, 3}), std::vector<float>(n), std::vector<int64_t>(n)};
  }
  for (size_t i = 0; i < used.size(); ++i) slots_[used[i]] = static_cast<int64_t>(i);
}

void HeadBuilder::Keep(int64_t slot, int64_t shape, std::span<const float> point, float target) {
  std::copy(point.begin(), point.end(), kept_.xyz.mutable_data_ptr<float>() + 3 * slot);
  kept_.target[slot] = target;
  kept_.shape[slot] = shape;
}

void HeadBuilder::Add(int64_t first, std::span<const CompletionSample> samples, const at::Tensor& states) {
  std::vector<int64_t> rows, slots;
  std::vector<float> targets;
  for (size_t s = 0; s < samples.size(); ++s) {
    const CompletionSample& sample = samples[s];
    const int64_t shape = first + static_cast<int64_t>(s);
    for (int64_t q = 0; q < queries_; ++q) {
      const int64_t slot = slots_[shape * queries_ + q];
      if (slot < 0) continue;
      rows.push_back(static_cast<int64_t>(s) * queries_ + q);
      slots.push_back(slot);
      targets.push_back(options_.transform.Forward(sample.query_distance[q]));
      if (options_.lipschitz)
        Keep(slot, shape, std::span(sample.query_xyz.data() + 3 * q, 3), targets.back());
    }
  }
  if (rows.empty()) return;
  const at::Tensor x = states.index_select(0, IndexTensor(rows));
  fit_.Add(x, targets);
  if (options_.lipschitz) kept_.x.index_copy_(0, IndexTensor(slots), x);
  if (rows_ == nullptr) return;
  rows_->x.push_back(x);
  rows_->y.insert(rows_->y.end(), targets.begin(), targets.end());
}

absl::StatusOr<FittedHead> HeadBuilder::Finish() {
  FittedHead head = {.rows = fit_.rows()};
  MF_ASSIGN_OR_RETURN(head.weights, fit_.Solve(options_.ridge_lambda));
  if (options_.lipschitz) {
    MF_ASSIGN_OR_RETURN(head.lipschitz, RefineLipschitz(kept_, *options_.lipschitz, random_, &head.weights));
  }
  return head;
}

}  // namespace manyform

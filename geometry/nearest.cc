#include "geometry/nearest.h"

#include <emmintrin.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "geometry/kernel_choice.h"
#include "geometry/morton.h"
#include "geometry/nearest_kernel.h"

namespace manyform {
namespace {

using Neighbour = NearestPoints::Neighbour;

// Beyond this, squares of single-precision distances may overflow.
constexpr float kLargest = 1e15f;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Neighbour kNothing{std::numeric_limits<int64_t>::max(), kInfinity};
constexpr Neighbour kNoAnswer{0, std::numeric_limits<double>::quiet_NaN()};

bool Before(const Neighbour& a, const Neighbour& b) {
  return a.squared_distance < b.squared_distance ||
         (a.squared_distance == b.squared_distance && a.index < b.index);
}

float ReachOf(double squared) { return NearestReach(static_cast<float>(squared)); }

bool IsFinite(const float* q) { return std::isfinite(q[0]) && std::isfinite(q[1]) && std::isfinite(q[2]); }

// What a search has found: Reach() bounds what may still improve it, ties included.
class OneNearest {
 public:
  float Reach() const { return reach_; }
  void Offer(const Neighbour& found) {
    if (!Before(found, best_)) return;
    best_ = found;
    reach_ = ReachOf(found.squared_distance);
  }
  const Neighbour& best() const { return best_; }

 private:
  Neighbour best_ = kNothing;
  float reach_ = std::numeric_limits<float>::infinity();
};

class SomeNearest {
 public:
  explicit SomeNearest(size_t k) : k_(k) { found_.reserve(k + 1); }
  float Reach() const {
    return found_.size() == k_ ? ReachOf(found_.back().squared_distance)
                               : std::numeric_limits<float>::infinity();
  }
  void Offer(const Neighbour& found) {
    found_.insert(std::upper_bound(found_.begin(), found_.end(), found, Before), found);
    if (found_.size() > k_) found_.pop_back();
  }
  std::vector<Neighbour> Take() { return std::move(found_); }

 private:
  size_t k_;
  std::vector<Neighbour> found_;
};

}  // namespace

// A tree of boxes, sixteen points to a leaf and sixteen children to a node, so that a step of the search is a
// few vector instructions. Single precision decides what to look at, double what is nearest.
class NearestPoints::Impl {
 public:
  explicit Impl(const PointsFRef& points) : points_(points) {
    huge_ = points_.cwiseAbs().maxCoeff() > kLargest;
    std::vector<Item> items(points_.rows());
    for (size_t i = 0; i < items.size(); ++i) {
      items[i] = {{points_(i, 0), points_(i, 1), points_(i, 2)}, static_cast<int32_t>(i)};
    }
    Split(items.data(), static_cast<int32_t>(items.size()));
    MakeLeaves(items);
    while (levels_.back().size() > kTopGroups) AddLevel();
    tree_.num_levels = static_cast<int>(levels_.size());
    for (size_t l = 0; l < levels_.size(); ++l) tree_.level[l] = levels_[l].data();
    tree_.top_groups = static_cast<int32_t>(levels_.back().size());
    tree_.leaves = leaves_.data();
  }
  const PointsF& points() const { return points_; }

  Neighbour Measure(const float* q, int32_t index) const {
    const double dx = static_cast<double>(q[0]) - points_(index, 0),
                 dy = static_cast<double>(q[1]) - points_(index, 1),
                 dz = static_cast<double>(q[2]) - points_(index, 2);
    return {index, (dx * dx + dy * dy) + dz * dz};
  }

  // \pre q is finite
  template <class Found>
  void Search(const float* q, Found& found) const {
    if (TooLarge(q)) {
      for (int32_t i = 0; i < points_.rows(); ++i) found.Offer(Measure(q, i));
      return;
    }
    for (int32_t g = 0; g < tree_.top_groups; ++g) Visit(tree_.num_levels - 1, g, q, found);
  }

  // Calls answer(query, neighbour) for each query, in the order given.
  template <class Answer>
  void ForEach(const PointsFRef& queries, std::span<const int32_t> order, Answer answer) const {
    static NearestCandidates* const kernel =
        WidestKernel(&NearestCandidatesPortable, &NearestCandidatesAvx2, &NearestCandidatesAvx512);
    const auto lists = std::make_unique_for_overwrite<PairLists>();
    QueryChunk chunk;
    std::array<int32_t, QueryChunk::kSize> query;
    chunk.count = 0;
    const auto flush = [&] {
      AnswerChunk(*kernel, queries, &chunk, query.data(), lists.get(), answer);
      chunk.count = 0;
    };
    for (const int32_t i : order) {
      const float* q = queries.row(i).data();
      if (!IsFinite(q)) {
        answer(i, kNoAnswer);
        continue;
      }
      if (TooLarge(q)) {
        OneNearest found;
        Search(q, found);
        answer(i, found.best());
        continue;
      }
      for (int k = 0; k < 3; ++k) chunk.xyz[k][chunk.count] = q[k];
      query[chunk.count++] = i;
      if (chunk.count == QueryChunk::kSize) flush();
    }
    flush();
  }

 private:
  static constexpr int32_t kLeafSize = kNearestLanes;
  static constexpr size_t kTopGroups = 4;
  struct alignas(16) Item {
    std::array<float, 3> xyz;
    int32_t index;
  };

  bool TooLarge(const float* q) const {
    return huge_ || std::max({std::abs(q[0]), std::abs(q[1]), std::abs(q[2])}) > kLargest;
  }

  static int WidestAxis(const Item* items, int32_t n) {
    __m128 low = Coordinates(items[0]), high = low;
    for (int32_t i = 1; i < n; ++i) {
      low = _mm_min_ps(low, Coordinates(items[i]));
      high = _mm_max_ps(high, Coordinates(items[i]));
    }
    alignas(16) float width[4];
    _mm_store_ps(width, _mm_sub_ps(high, low));
    int axis = 0;
    for (int k = 1; k < 3; ++k) axis = width[k] > width[axis] ? k : axis;
    return axis;
  }

  // std::nth_element by quickselect without a branch that coordinates decide: pivots from samples at the
  // wanted rank, a little to the side that leaves less to look at.
  static void Select(Item* items, int32_t n, int32_t middle, int axis) {
    constexpr int kSamples = 15, kFew = 48, kPatience = 30;
    for (int round = 0; n > kFew && round < kPatience; ++round) {
      std::array<float, kSamples> samples;
      for (int i = 0; i < kSamples; ++i) samples[i] = items[int64_t{i} * (n - 1) / (kSamples - 1)].xyz[axis];
      std::sort(samples.begin(), samples.end());
      const int64_t rank = int64_t{middle} * (kSamples - 1) / n;
      const int aside = 2 * middle < n ? 2 : -1;
      const float pivot = samples[std::clamp<int64_t>(rank + aside, 0, kSamples - 1)];
      int32_t below = Partition(items, n, axis, pivot, [](float x, float p) { return x < p; });
      if (below == 0) below = Partition(items, n, axis, pivot, [](float x, float p) { return x <= p; });
      if (middle < below) {
        n = below;
      } else {
        items += below, n -= below, middle -= below;
      }
    }
    std::nth_element(items, items + middle, items + n,
                     [axis](const Item& a, const Item& b) { return a.xyz[axis] < b.xyz[axis]; });
  }

  // Brings the items that are `first` to the front, and returns how many there are.
  template <class First>
  static int32_t Partition(Item* items, int32_t n, int axis, float pivot, First first) {
    int32_t at = 0;
    for (int32_t i = 0; i < n; ++i) {
      const __m128i item = _mm_load_si128(reinterpret_cast<const __m128i*>(&items[i]));
      const bool is_first = first(items[i].xyz[axis], pivot);
      _mm_store_si128(reinterpret_cast<__m128i*>(&items[i]),
                      _mm_load_si128(reinterpret_cast<const __m128i*>(&items[at])));
      _mm_store_si128(reinterpret_cast<__m128i*>(&items[at]), item);
      at += is_first;
    }
    return at;
  }

  // The fourth lane is the index, which nothing looks at.
  static __m128 Coordinates(const Item& item) { return _mm_load_ps(item.xyz.data()); }

  // Halves the range at the widest side until it is one leaf: the lower half is a power of two of whole
  // leaves, so that any sixteen leaves in a row that belong to one node are a part of space.
  static void Split(Item* items, int32_t n) {
    const int32_t leaves = (n + kLeafSize - 1) / kLeafSize;
    if (leaves < 2) return;
    int32_t half = 1;
    while (2 * half < leaves) half *= 2;
    const int axis = WidestAxis(items, n);
    const int32_t middle = half * kLeafSize;
    Select(items, n, middle, axis);
    Split(items, middle);
    Split(items + middle, n - middle);
  }

  static std::vector<BoxGroup> EmptyGroups(size_t boxes) {
    BoxGroup empty;
    for (int k = 0; k < 3; ++k) {
      std::fill_n(empty.low[k], kNearestLanes, std::numeric_limits<float>::infinity());
      std::fill_n(empty.high[k], kNearestLanes, -std::numeric_limits<float>::infinity());
    }
    return std::vector<BoxGroup>((boxes + kNearestLanes - 1) / kNearestLanes, empty);
  }

  static void Extend(BoxGroup* group, size_t lane, int k, float low, float high) {
    group->low[k][lane] = std::min(group->low[k][lane], low);
    group->high[k][lane] = std::max(group->high[k][lane], high);
  }

  void MakeLeaves(const std::vector<Item>& items) {
    constexpr float kAbsent = std::numeric_limits<float>::infinity();
    leaves_.resize((items.size() + kLeafSize - 1) / kLeafSize);
    std::vector<BoxGroup> groups = EmptyGroups(leaves_.size());
    for (size_t i = 0; i < leaves_.size() * kLeafSize; ++i) {
      const size_t leaf = i / kLeafSize, lane = i % kLeafSize;
      leaves_[leaf].index[lane] = i < items.size() ? items[i].index : 0;
      for (int k = 0; k < 3; ++k) {
        leaves_[leaf].xyz[k][lane] = i < items.size() ? items[i].xyz[k] : kAbsent;
        if (i >= items.size()) continue;
        Extend(&groups[leaf / kNearestLanes], leaf % kNearestLanes, k, items[i].xyz[k], items[i].xyz[k]);
      }
    }
    levels_.push_back(std::move(groups));
  }

  void AddLevel() {
    const std::vector<BoxGroup>& below = levels_.back();
    std::vector<BoxGroup> groups = EmptyGroups(below.size());
    for (size_t i = 0; i < below.size(); ++i) {
      for (int k = 0; k < 3; ++k) {
        Extend(&groups[i / kNearestLanes], i % kNearestLanes, k,
               *std::min_element(below[i].low[k], below[i].low[k] + kNearestLanes),
               *std::max_element(below[i].high[k], below[i].high[k] + kNearestLanes));
      }
    }
    levels_.push_back(std::move(groups));
  }

  template <class Found>
  void Visit(int level, int32_t item, const float* q, Found& found) const {
    std::array<float, kNearestLanes> distance{};
    if (level < 0) {
      const PointLeaf& leaf = leaves_[item];
      for (int i = 0; i < kNearestLanes; ++i) {
        for (int k = 0; k < 3; ++k) distance[i] += (leaf.xyz[k][i] - q[k]) * (leaf.xyz[k][i] - q[k]);
      }
      for (int i = 0; i < std::min<int64_t>(kLeafSize, points_.rows() - int64_t{item} * kLeafSize); ++i) {
        if (distance[i] <= found.Reach()) found.Offer(Measure(q, leaf.index[i]));
      }
      return;
    }
    const BoxGroup& group = levels_[level][item];
    for (int i = 0; i < kNearestLanes; ++i) {
      for (int k = 0; k < 3; ++k) {
        const float gap = std::max(std::max(group.low[k][i] - q[k], q[k] - group.high[k][i]), 0.0f);
        distance[i] += gap * gap;
      }
    }
    // Nearest first: what it has bounds what else is looked at.
    const size_t below = level > 0 ? levels_[level - 1].size() : leaves_.size();
    const int children =
        static_cast<int>(std::min<size_t>(kNearestLanes, below - static_cast<size_t>(item) * kNearestLanes));
    const int nearest =
        static_cast<int>(std::min_element(distance.begin(), distance.begin() + children) - distance.begin());
    if (distance[nearest] <= found.Reach()) Visit(level - 1, item * kNearestLanes + nearest, q, found);
    for (int i = 0; i < children; ++i) {
      if (i != nearest && distance[i] <= found.Reach()) {
        Visit(level - 1, item * kNearestLanes + i, q, found);
      }
    }
  }

  template <class Answer>
  void AnswerChunk(NearestCandidates& candidates, const PointsFRef& queries, QueryChunk* chunk,
                   const int32_t* query, PairLists* lists, Answer& answer) const {
    const int32_t pairs = candidates(tree_, chunk, lists);
    int32_t i = 0;
    for (int q = 0; q < chunk->count; ++q) {
      const float* xyz = queries.row(query[q]).data();
      Neighbour best = kNothing;
      // Mostly there is one.
      for (; i < pairs && lists->query[0][i] == q; ++i) {
        const Neighbour found = Measure(xyz, lists->item[0][i]);
        if (Before(found, best)) best = found;
      }
      if (pairs < 0) {
        // So many points are equally near that the lists do not hold them.
        OneNearest found;
        Search(xyz, found);
        best = found.best();
      }
      answer(query[q], best);
    }
  }

  PointsF points_;
  bool huge_;
  std::vector<PointLeaf> leaves_;
  std::vector<std::vector<BoxGroup>> levels_;
  NearestTree tree_;
};

NearestPoints::NearestPoints(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NearestPoints::NearestPoints(NearestPoints&&) noexcept = default;
NearestPoints& NearestPoints::operator=(NearestPoints&&) noexcept = default;
NearestPoints::~NearestPoints() = default;

absl::StatusOr<NearestPoints> NearestPoints::Create(const PointsFRef& points) {
  if (points.rows() == 0) return absl::InvalidArgumentError("nearest neighbours need at least one point");
  for (Eigen::Index i = 0; i < points.rows(); ++i) {
    if (!IsFinite(points.row(i).data())) {
      return absl::InvalidArgumentError(absl::StrFormat("point %d is not finite", i));
    }
  }
  return NearestPoints(std::make_unique<Impl>(points));
}

int64_t NearestPoints::size() const { return impl_->points().rows(); }

Neighbour NearestPoints::Nearest(const float* xyz) const {
  if (!IsFinite(xyz)) return kNoAnswer;
  OneNearest found;
  impl_->Search(xyz, found);
  return found.best();
}

std::vector<int32_t> NearestPoints::Indices(const PointsFRef& queries, std::span<const int32_t> order) const {
  std::vector<int32_t> own_order;
  if (order.empty()) order = own_order = MortonOrder(queries);
  std::vector<int32_t> indices(queries.rows());
  impl_->ForEach(queries, order,
                 [&](int32_t i, const Neighbour& n) { indices[i] = static_cast<int32_t>(n.index); });
  return indices;
}

std::vector<float> NearestPoints::Distances(const PointsFRef& queries, std::span<const int32_t> order) const {
  std::vector<int32_t> own_order;
  if (order.empty()) order = own_order = MortonOrder(queries);
  std::vector<float> distances(queries.rows());
  impl_->ForEach(queries, order, [&](int32_t i, const Neighbour& n) {
    distances[i] = static_cast<float>(std::sqrt(n.squared_distance));
  });
  return distances;
}

std::vector<Neighbour> NearestPoints::KNearest(const float* xyz, int64_t k) const {
  k = std::min(k, size());
  if (k <= 0 || !IsFinite(xyz)) return {};
  SomeNearest found(k);
  impl_->Search(xyz, found);
  return found.Take();
}

}  // namespace manyform

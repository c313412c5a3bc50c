#include "data/shape_list.h"

#include <algorithm>
#include <array>
#include <deque>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

// Memory a shape's pools hold outside the mapped file, give or take: inflated arrays and computed answers.
int64_t HeapBytes(const ArrayLayout& layout, const Pools& pools) {
  int64_t bytes = 2048 + pools.heap_bytes;
  for (const ArrayEntry& array : layout.arrays()) {
    if (!array.compressed()) continue;
    // The digits of "<f4".
    int64_t size = 8;
    if (array.dtype().size() > 2) (void)absl::SimpleAtoi(array.dtype().substr(2), &size);
    for (const int64_t n : array.shape()) size *= n;
    bytes += size;
  }
  return bytes;
}

// Whether the path "class/id.npz" of `a` comes before that of `b`, bytewise. Where neither name begins the
// other, no path has to be made.
bool PathBefore(const ShapeEntry& a, const ShapeEntry& b) {
  const bool same_class = a.class_name() == b.class_name();
  const std::string &x = same_class ? a.id() : a.class_name(), &y = same_class ? b.id() : b.class_name();
  const size_t common = std::min(x.size(), y.size());
  if (const int order = x.compare(0, common, y, 0, common); order != 0) return order < 0;
  return absl::StrCat(ShapeKey(a), ".npz") < absl::StrCat(ShapeKey(b), ".npz");
}

}  // namespace

// First in, first out, in shards so that threads seldom wait for one another. Draws are uniform over shapes:
// a cleverer order would not hit more often.
class ShapeList::Kept {
 public:
  // What a shape's answers hold of each limit.
  struct Cost {
    int64_t shapes = 1, heap = 0, mapped = 0;
    Cost& operator+=(const Cost& o) {
      shapes += o.shapes;
      heap += o.heap;
      mapped += o.mapped;
      return *this;
    }
    Cost operator-() const { return {-shapes, -heap, -mapped}; }
  };

  explicit Kept(const KeptLimits& limits)
      : most_{limits.shapes / kShards, limits.heap_bytes / kShards, limits.mapped_bytes / kShards} {}

  using Key = std::tuple<int64_t, int, int, int, int, std::string>;

  static Key KeyOf(int64_t shape, const BackendOptions& o) {
    static const BackendOptions usual;
    std::string names;
    if (o.xyz_key != usual.xyz_key || o.dist_key != usual.dist_key || o.fps_key != usual.fps_key) {
      names = absl::StrCat(o.xyz_key, "\n", o.dist_key, "\n", o.fps_key);
    }
    if (o.backend != Backend::kVoxel) return {shape, static_cast<int>(o.backend), 0, 0, 0, names};
    return {shape, static_cast<int>(o.backend), o.voxel_grid, o.voxel_dilate, o.voxel_max_steps, names};
  }

  std::shared_ptr<const Pools> Find(const Key& key) {
    Shard& shard = ShardOf(key);
    const std::lock_guard lock(shard.mutex);
    const auto it = shard.pools.find(key);
    return it == shard.pools.end() ? nullptr : it->second;
  }

  void Insert(const Key& key, const std::shared_ptr<const Pools>& pools, const Cost& cost) {
    Shard& shard = ShardOf(key);
    const std::lock_guard lock(shard.mutex);
    if (!shard.pools.emplace(key, pools).second) return;
    shard.order.emplace_back(key, cost);
    shard.sum += cost;
    while (!shard.order.empty() && (shard.sum.shapes > most_.shapes || shard.sum.heap > most_.heap ||
                                    shard.sum.mapped > most_.mapped)) {
      shard.pools.erase(shard.order.front().first);
      shard.sum += -shard.order.front().second;
      shard.order.pop_front();
    }
  }

 private:
  static constexpr int64_t kShards = 16;
  struct Shard {
    std::mutex mutex;
    absl::flat_hash_map<Key, std::shared_ptr<const Pools>> pools;
    std::deque<std::pair<Key, Cost>> order;
    Cost sum = {.shapes = 0};
  };
  Shard& ShardOf(const Key& key) { return shards_[std::get<0>(key) % kShards]; }
  const Cost most_;
  std::array<Shard, kShards> shards_;
};

absl::StatusOr<ShapeList> ShapeList::Open(const std::string& cache_root, const std::string& split,
                                          const KeptLimits& limits) {
  MF_ASSIGN_OR_RETURN(CacheManifest manifest, OpenManifest(cache_root));
  ShapeList list;
  list.cache_root_ = cache_root;
  list.split_ = split;
  list.manifest_ = std::make_shared<const CacheManifest>(std::move(manifest));
  list.kept_ = std::make_shared<Kept>(limits);
  std::set<std::string> splits;
  for (const ShapeEntry& entry : list.manifest_->shapes()) {
    if (entry.split() == split) {
      list.entries_.push_back(&entry);
    } else if (splits.empty() || *splits.rbegin() != entry.split()) {
      splits.insert(entry.split());
    }
  }
  if (list.entries_.empty()) {
    return absl::NotFoundError(absl::StrCat(
        cache_root, ": no shapes in split '", split, "'; it has ",
        splits.empty() ? "no splits" : absl::StrCat("the splits ", absl::StrJoin(splits, ", "))));
  }
  // The manifest's own order, but where one name begins another.
  const auto before = [](const ShapeEntry* a, const ShapeEntry* b) { return PathBefore(*a, *b); };
  if (!std::is_sorted(list.entries_.begin(), list.entries_.end(), before)) {
    std::sort(list.entries_.begin(), list.entries_.end(), before);
  }
  list.fingerprint_ = SplitFingerprint(*list.manifest_, split);
  return list;
}

absl::StatusOr<std::shared_ptr<const ShapeFile>> ShapeList::Load(int64_t i) const {
  return ShapeFile::Open(path(i), *entries_[i], *manifest_);
}

absl::StatusOr<std::shared_ptr<const Pools>> ShapeList::Answers(int64_t i,
                                                                const BackendOptions& options) const {
  const Kept::Key key = Kept::KeyOf(i, options);
  if (std::shared_ptr<const Pools> kept = kept_->Find(key)) return kept;
  MF_ASSIGN_OR_RETURN(std::shared_ptr<const ShapeFile> shape, Load(i));
  MF_ASSIGN_OR_RETURN(const Pools answered, AnswerPools(std::move(shape), options));
  auto pools = std::make_shared<const Pools>(answered);
  const int layout = entries_[i]->layout();
  const bool known = layout >= 0 && layout < manifest_->layouts_size();
  kept_->Insert(key, pools,
                {.heap = HeapBytes(known ? manifest_->layouts(layout) : ArrayLayout(), *pools),
                 .mapped = static_cast<int64_t>(entries_[i]->file_size())});
  return pools;
}

std::vector<std::string> ShapeList::ClassNames() const {
  std::set<std::string> names;
  for (const ShapeEntry* entry : entries_) names.insert(entry->class_name());
  return {names.begin(), names.end()};
}

}  // namespace manyform

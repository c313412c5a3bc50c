#include "data/shape_list.h"

#include <algorithm>
#include <array>
#include <deque>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
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
    int64_t size = 8;
    for (const int64_t n : array.shape()) size *= n;
    bytes += size;
  }
  return bytes;
}

}  // namespace

// First in, first out, in shards so that threads seldom wait for one another. Draws are uniform over shapes:
// a cleverer order would not hit more often.
class ShapeList::Kept {
 public:
  using Key = std::tuple<int64_t, int, int, int, int, std::string>;

  static Key KeyOf(int64_t shape, const BackendOptions& o) {
    static const BackendOptions usual;
    std::string names;
    if (o.xyz_key != usual.xyz_key || o.dist_key != usual.dist_key || o.fps_key != usual.fps_key) {
      names = absl::StrCat(o.xyz_key, " ", o.dist_key, " ", o.fps_key);
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

  void Insert(const Key& key, std::shared_ptr<const Pools> pools, int64_t bytes) {
    Shard& shard = ShardOf(key);
    const std::lock_guard lock(shard.mutex);
    if (!shard.pools.emplace(key, std::move(pools)).second) return;
    shard.order.emplace_back(key, bytes);
    shard.bytes += bytes;
    while (shard.order.size() > kKeptPools / kShards || (shard.bytes > kKeptBytes / kShards)) {
      shard.pools.erase(shard.order.front().first);
      shard.bytes -= shard.order.front().second;
      shard.order.pop_front();
    }
  }

 private:
  static constexpr int64_t kShards = 16;
  struct Shard {
    std::mutex mutex;
    absl::flat_hash_map<Key, std::shared_ptr<const Pools>> pools;
    std::deque<std::pair<Key, int64_t>> order;
    int64_t bytes = 0;
  };
  Shard& ShardOf(const Key& key) { return shards_[std::get<0>(key) % kShards]; }
  std::array<Shard, kShards> shards_;
};

absl::StatusOr<ShapeList> ShapeList::Open(const std::string& cache_root, const std::string& split) {
  MF_ASSIGN_OR_RETURN(CacheManifest manifest, OpenManifest(cache_root));
  ShapeList list;
  list.cache_root_ = cache_root;
  list.split_ = split;
  list.manifest_ = std::make_shared<const CacheManifest>(std::move(manifest));
  list.kept_ = std::make_shared<Kept>();
  std::set<std::string> splits;
  std::vector<std::pair<std::string, const ShapeEntry*>> paths;
  for (const ShapeEntry& entry : list.manifest_->shapes()) {
    if (entry.split() == split) paths.emplace_back(absl::StrCat(ShapeKey(entry), ".npz"), &entry);
    splits.insert(entry.split());
  }
  if (paths.empty()) {
    return absl::NotFoundError(absl::StrCat(
        cache_root, ": no shapes in split '", split, "'; it has ",
        splits.empty() ? "no splits" : absl::StrCat("the splits ", absl::StrJoin(splits, ", "))));
  }
  // Not the manifest's order where one name is the beginning of another: "a.npz" comes after "a-b.npz".
  std::sort(paths.begin(), paths.end());
  for (const auto& [path, entry] : paths) list.entries_.push_back(entry);
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
  kept_->Insert(key, pools, HeapBytes(known ? manifest_->layouts(layout) : ArrayLayout(), *pools));
  return pools;
}

std::vector<std::string> ShapeList::ClassNames() const {
  std::set<std::string> names;
  for (const ShapeEntry* entry : entries_) names.insert(entry->class_name());
  return {names.begin(), names.end()};
}

}  // namespace manyform

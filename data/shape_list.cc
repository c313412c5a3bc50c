#include "data/shape_list.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <iterator>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/string_views.h"

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

// What a representation answers with, what answers where it is missing, and the build option that leaves it
// out.
struct Fallback {
  absl::string_view array, stands_in, option;
};
constexpr Fallback kFallbacks[] = {
    {"pt_dist_pc_pool", "pt_dist_pool", ""},
    {"ray_hit_pc_pool", "ray_hit_pool", "no_pc_rays"},
    {"pt_dist_udf_pool", "pt_dist_pool", "no_udf"},
};
constexpr size_t kCloudPoints = 0, kCloudRays = 1, kField = 2;

// Whether a build config, as a manifest keeps it, has this flag.
bool IsSet(const std::string& build_config, absl::string_view flag) {
  const std::vector<absl::string_view> lines = absl::StrSplit(build_config, '\n');
  return absl::c_linear_search(lines, absl::StrCat(flag, ": true"));
}

// Those of kFallbacks that AnswerPools takes.
std::vector<size_t> FallbacksOf(const ShapeFile& shape, const BackendOptions& options) {
  const Backend backend = options.backend;
  const bool pool = options.xyz_key == "pt_xyz_pool" && options.dist_key == "pt_dist_pool";
  const bool cloud = backend == Backend::kPointcloud || backend == Backend::kPointcloudMeshray ||
                     backend == Backend::kPointcloudNoray;
  std::vector<size_t> asked;
  if (cloud && pool) asked.push_back(kCloudPoints);
  if (backend == Backend::kPointcloud) asked.push_back(kCloudRays);
  if (backend == Backend::kUdfgrid && pool) asked.push_back(kField);
  std::erase_if(asked, [&](size_t i) { return shape.Has(ToStd(kFallbacks[i].array)); });
  return asked;
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

  // Whether this is said for the first time.
  bool Tell(size_t fallback) { return !told_[fallback].exchange(true); }

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
  std::array<std::atomic<bool>, std::size(kFallbacks)> told_ = {};
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

// A cache from before an answer was stored is used as it was then, and that is said. One of ours that was
// told to leave the answer out has none: the mesh's would be taken for it. A scan has no mesh.
absl::Status ShapeList::CheckFallbacks(int64_t i, const ShapeFile& shape,
                                       const BackendOptions& options) const {
  if (entries_[i]->has_scan()) return absl::OkStatus();
  for (const size_t number : FallbacksOf(shape, options)) {
    const Fallback& fallback = kFallbacks[number];
    const absl::string_view backend = ToAbsl(BackendName(options.backend));
    if (!fallback.option.empty() && IsSet(manifest_->build_config(), fallback.option)) {
      return absl::FailedPreconditionError(absl::StrCat(shape.path(), ": array ", fallback.array,
                                                        " is not in the file, for the cache was built with ",
                                                        fallback.option, "; backend ", backend, " needs it"));
    }
    if (!kept_->Tell(number)) continue;
    LogLine(absl::StrCat(shape.path(), ": no ", fallback.array, ", so ", fallback.stands_in,
                         ", the mesh's unless this is a scan, answers for backend ", backend,
                         "; said once for ", cache_root_, " ", split_));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Pools>> ShapeList::Answers(int64_t i,
                                                                const BackendOptions& options) const {
  const Kept::Key key = Kept::KeyOf(i, options);
  if (std::shared_ptr<const Pools> kept = kept_->Find(key)) return kept;
  MF_ASSIGN_OR_RETURN(std::shared_ptr<const ShapeFile> shape, Load(i));
  MF_RETURN_IF_ERROR(CheckFallbacks(i, *shape, options));
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

bool ShapeList::AnySimulated() const {
  return absl::c_any_of(entries_, [](const ShapeEntry* entry) { return entry->scan().simulated(); });
}

}  // namespace manyform

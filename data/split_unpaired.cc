#include "data/split_unpaired.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <span>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/files.h"
#include "base/log.h"
#include "base/numpy_random.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "data/manifest.h"
#include "data/split_manifest_io.h"

namespace manyform {
namespace {

constexpr const char* kTrainSplits[] = {"train_mesh", "train_pc", "train_udf"};

using Ratios = std::array<double, 3>;

absl::StatusOr<Ratios> Weights(const SplitUnpairedConfig& config) {
  if (config.ratios().empty()) return Ratios{0.34, 0.33, 0.33};
  if (config.ratios_size() != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("ratios has ", config.ratios_size(), " values, expected three: mesh, pc, udf"));
  }
  Ratios weights;
  for (int i = 0; i < 3; ++i) {
    weights[i] = config.ratios(i);
    if (!std::isfinite(weights[i]) || weights[i] < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("ratios[", i, "] is ", weights[i], ", expected a finite number of at least 0"));
    }
  }
  if (weights[0] + weights[1] + weights[2] > 0) return weights;
  return absl::InvalidArgumentError("ratios are all 0");
}

// Keys of one split of a cache without a manifest, by its folders alone.
absl::StatusOr<std::vector<std::string>> ListFolders(const std::string& root, const std::string& split) {
  const std::string folder = JoinPath(root, split);
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(folder));
  std::vector<std::string> keys;
  for (const std::string& name : names) {
    const std::string class_folder = JoinPath(folder, name);
    if (absl::StartsWith(name, ".") || !std::filesystem::is_directory(class_folder)) continue;
    MF_ASSIGN_OR_RETURN(const std::vector<std::string> paths, Glob(class_folder, "*.npz"));
    if (paths.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(class_folder, ": a class without shapes (*.npz)"));
    }
    for (const std::string& path : paths) {
      keys.push_back(absl::StrCat(name, "/", absl::StripSuffix(path.substr(path.rfind('/') + 1), ".npz")));
    }
  }
  return keys;
}

absl::StatusOr<std::vector<std::string>> ListKeys(const std::string& root, const std::string& split) {
  std::vector<std::string> keys;
  if (FileExists(JoinPath(root, kManifestName))) {
    MF_ASSIGN_OR_RETURN(const CacheManifest manifest, ReadManifest(root));
    NoteInput(root, SplitFingerprint(manifest, split));
    for (const ShapeEntry& entry : manifest.shapes()) {
      if (entry.split() == split) keys.push_back(ShapeKey(entry));
    }
  } else {
    MF_ASSIGN_OR_RETURN(keys, ListFolders(root, split));
  }
  if (keys.empty()) {
    return absl::NotFoundError(absl::StrCat(root, ": no shapes in split '", split, "'"));
  }
  return keys;
}

// Paths sort with their ending: "a-b.npz" before "a.npz".
void SortAsPaths(std::vector<std::string>* keys) {
  std::sort(keys->begin(), keys->end(),
            [](const std::string& a, const std::string& b) { return a + ".npz" < b + ".npz"; });
}

SplitRecord MakeRecord(const std::string& key, const std::string& split, const std::string& src_split) {
  SplitRecord record;
  record.set_key(key);
  record.set_split(split);
  record.set_src_split(src_split);
  record.set_src_relpath(absl::StrCat(src_split, "/", key, ".npz"));
  return record;
}

void CountInOrderOfAppearance(SplitManifest* manifest) {
  SplitMeta* meta = manifest->mutable_meta();
  std::map<std::string, SplitCount*> counts;
  for (const SplitRecord& record : manifest->records()) {
    SplitCount*& count = counts[record.split()];
    if (count == nullptr) {
      count = meta->add_counts();
      count->set_split(record.split());
    }
    count->set_shapes(count->shapes() + 1);
  }
}

}  // namespace

std::array<int64_t, 3> UnpairedCounts(int64_t n, const std::array<double, 3>& weights) {
  // The default rounding of nearbyint is half to even.
  const int64_t mesh = std::min<int64_t>(n, std::nearbyint(weights[0] * n));
  const int64_t pc = std::min<int64_t>(n - mesh, std::nearbyint(weights[1] * n));
  std::array<int64_t, 3> counts = {mesh, pc, n - mesh - pc};
  if (n < 3) return counts;
  for (int64_t& count : counts) {
    if (count > 0) continue;
    const auto largest = std::max_element(counts.begin(), counts.end());
    if (*largest <= 1) break;
    --*largest;
    ++count;
  }
  return counts;
}

absl::StatusOr<SplitManifest> MakeUnpairedSplit(const SplitUnpairedConfig& config,
                                                const std::vector<std::string>& train,
                                                const std::vector<std::string>& eval) {
  MF_ASSIGN_OR_RETURN(const Ratios ratios, Weights(config));
  const double sum = ratios[0] + ratios[1] + ratios[2];
  const Ratios weights = {ratios[0] / sum, ratios[1] / sum, ratios[2] / sum};

  std::map<std::string, std::vector<std::string>> classes;
  for (const std::string& key : train) classes[key.substr(0, key.find('/'))].push_back(key);
  NumpyRandomState random(static_cast<uint32_t>(config.seed()));
  std::map<std::string, int> form;
  for (auto& [name, keys] : classes) {
    SortAsPaths(&keys);
    random.Shuffle(std::span(keys));
    const std::array<int64_t, 3> counts = UnpairedCounts(static_cast<int64_t>(keys.size()), weights);
    size_t next = 0;
    for (int i = 0; i < 3; ++i) {
      for (int64_t j = 0; j < counts[i]; ++j) form[keys[next++]] = i;
    }
  }

  SplitManifest manifest;
  SplitMeta* meta = manifest.mutable_meta();
  meta->set_cache_root(config.cache_root());
  meta->set_train_split(config.train_split());
  meta->set_eval_split(config.eval_split());
  meta->set_seed(config.seed());
  for (const double ratio : ratios) meta->add_ratios_mesh_pc_udf(ratio);
  std::vector<std::string> sorted = train;
  SortAsPaths(&sorted);
  for (const std::string& key : sorted) {
    *manifest.add_records() = MakeRecord(key, kTrainSplits[form[key]], config.train_split());
  }
  sorted = eval;
  SortAsPaths(&sorted);
  for (const std::string& key : sorted) {
    *manifest.add_records() = MakeRecord(key, "eval", config.eval_split());
  }
  CountInOrderOfAppearance(&manifest);
  return manifest;
}

absl::StatusOr<SplitUnpairedResult> SplitUnpaired(const SplitUnpairedConfig& config) {
  if (config.train_split() == config.eval_split()) {
    return absl::InvalidArgumentError(
        absl::StrCat("train_split and eval_split are both '", config.train_split(), "'"));
  }
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> train,
                      ListKeys(config.cache_root(), config.train_split()));
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> eval,
                      ListKeys(config.cache_root(), config.eval_split()));
  MF_ASSIGN_OR_RETURN(const SplitManifest manifest, MakeUnpairedSplit(config, train, eval));
  MF_RETURN_IF_ERROR(WriteSplitManifest(config.output(), manifest));
  SplitUnpairedResult result;
  *result.mutable_counts() = manifest.meta().counts();
  NoteSeed("split", config.seed());
  std::string counts;
  for (const SplitCount& count : result.counts()) {
    absl::StrAppend(&counts, counts.empty() ? "" : ", ", count.split(), " ", count.shapes());
  }
  LogLine(absl::StrCat(config.output(), ": ", counts));
  return result;
}

}  // namespace manyform

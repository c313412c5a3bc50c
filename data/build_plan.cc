#include "data/build_plan.h"

#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "data/build_options.h"
#include "data/manifest.h"

namespace manyform {
namespace {

bool IsBuilt(const BuildCacheConfig& config, const std::string& split) {
  return config.split() == "all" || config.split() == split;
}

std::string FullKey(const ShapeEntry& entry) { return absl::StrCat(entry.split(), "/", ShapeKey(entry)); }

absl::Status Refuse(const BuildCacheConfig& config, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat(config.out_root(), " cannot be continued: ", why, "; overwrite=true rebuilds it"));
}

bool HasSize(const std::string& path, uint64_t size) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && static_cast<uint64_t>(info.st_size) == size;
}

// What one of the two records says of a shape.
struct Record {
  const ShapeEntry* entry = nullptr;
  const CacheManifest* from = nullptr;
};
using Records = absl::flat_hash_map<std::string, Record>;

// A record of the splits that are built now has to be of a shape that is wanted, and made as it would be now.
absl::Status CheckRecords(const Records& records, const BuildPlan& plan, const BuildCacheConfig& config) {
  absl::flat_hash_map<std::string, const ShapeEntry*> wanted;
  for (const ShapeEntry& shape : plan.shapes) wanted[FullKey(shape)] = &shape;
  std::vector<std::string> keys;
  for (const auto& [key, record] : records) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  for (const std::string& key : keys) {
    const ShapeEntry& there = *records.at(key).entry;
    const auto found = wanted.find(key);
    if (found == wanted.end()) {
      return Refuse(config, absl::StrCat("it holds ", key, ", whose mesh ", there.source(),
                                         " is no longer in the list"));
    }
    const ShapeEntry& now = *found->second;
    if (there.source() != now.source()) {
      return Refuse(config, absl::StrCat(key, " was built from ", there.source(), ", not ", now.source()));
    }
    if (there.seed() != now.seed()) {
      return Refuse(config, absl::StrCat(key, " was built with seed ", there.seed(), ", not ", now.seed(),
                                         ": the list of meshes or split=", config.split(), " is another"));
    }
  }
  return absl::OkStatus();
}

// Sets what a record knows if the file is still the one that was written.
absl::Status FindFinished(const Records& records, const CacheManifest& journal,
                          const BuildCacheConfig& config, BuildPlan* plan) {
  const int64_t n = static_cast<int64_t>(plan->shapes.size());
  std::vector<uint8_t> good(n);
  MF_RETURN_IF_ERROR(ParallelFor(n, config.num_threads(), [&](int64_t i) {
    const auto found = records.find(FullKey(plan->shapes[i]));
    if (found == records.end()) return absl::OkStatus();
    const ShapeEntry& entry = *found->second.entry;
    const std::string path = ShapePath(config.out_root(), entry);
    // A finished build is trusted up to sizes; a power cut can have lost what an unfinished one wrote.
    good[i] =
        found->second.from == &journal ? VerifyShapeFile(path, entry).ok() : HasSize(path, entry.file_size());
    return absl::OkStatus();
  }));
  for (int64_t i = 0; i < n; ++i) {
    const auto found = records.find(FullKey(plan->shapes[i]));
    if (found == records.end()) continue;
    if (!good[i]) {
      LogLine(
          absl::StrCat(ShapePath(config.out_root(), plan->shapes[i]), ": missing or damaged, built again"));
      continue;
    }
    const Record& record = found->second;
    plan->shapes[i] = *record.entry;
    SetLayout(&plan->manifest, &plan->shapes[i], record.from->layouts(record.entry->layout()));
    plan->finished[i] = true;
  }
  return absl::OkStatus();
}

// Keeps shapes and failures of the splits that are not built now.
void KeepOtherSplits(const CacheManifest& manifest, const BuildCacheConfig& config, CacheManifest* kept) {
  for (const ShapeEntry& shape : manifest.shapes()) {
    if (IsBuilt(config, shape.split())) continue;
    ShapeEntry* entry = kept->add_shapes();
    *entry = shape;
    SetLayout(kept, entry, manifest.layouts(shape.layout()));
  }
  for (const FailedShape& failed : manifest.failed()) {
    if (!IsBuilt(config, failed.split())) *kept->add_failed() = failed;
  }
}

absl::Status CheckNotForeign(const BuildCacheConfig& config) {
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> files, Glob(config.out_root(), "*/*/*.npz"));
  if (files.empty()) return absl::OkStatus();
  return Refuse(config, absl::StrCat("it holds shapes without a manifest, such as ", files[0],
                                     ", which were not built here"));
}

}  // namespace

int64_t BuildPlan::num_finished() const { return std::count(finished.begin(), finished.end(), true); }

absl::StatusOr<std::vector<ShapeEntry>> ListShapesToBuild(const std::vector<MeshSource>& meshes,
                                                          const BuildCacheConfig& config) {
  std::vector<ShapeEntry> shapes;
  for (const MeshSource& mesh : meshes) {
    const std::string split = mesh.test ? "test" : "train";
    if (!IsBuilt(config, split)) continue;
    const uint64_t seed = uint64_t{config.seed()} + shapes.size();
    if (seed > std::numeric_limits<uint32_t>::max()) {
      return absl::InvalidArgumentError(absl::StrCat("seed: ", config.seed(), " leaves no 32-bit seed for ",
                                                     mesh.path, ", number ", shapes.size(), " of the list"));
    }
    ShapeEntry& shape = shapes.emplace_back();
    shape.set_split(split);
    shape.set_class_name(mesh.class_name);
    shape.set_id(mesh.id);
    shape.set_source(mesh.path);
    shape.set_seed(static_cast<uint32_t>(seed));
  }
  if (!shapes.empty()) return shapes;
  return absl::NotFoundError(absl::StrCat("no shape of ", config.shapenet_root(), " is in split=",
                                          config.split(), " with test_ratio=", config.test_ratio()));
}

absl::StatusOr<BuildPlan> PlanBuild(std::vector<ShapeEntry> shapes, const BuildCacheConfig& config,
                                    const CacheManifest& manifest, const CacheManifest& journal) {
  BuildPlan plan;
  plan.finished.resize(shapes.size());
  plan.shapes = std::move(shapes);
  KeepOtherSplits(manifest, config, &plan.manifest);
  const bool have_manifest = manifest.has_version(), have_journal = journal.has_build_fingerprint();
  for (const CacheManifest* part : {&manifest, &journal}) {
    if (part == &manifest ? !have_manifest : !have_journal) continue;
    const absl::Status same = CheckSameOptions(*part, config);
    if (same.ok()) continue;
    if (!config.overwrite()) return Refuse(config, same.message());
    if (part == &manifest && plan.manifest.shapes_size() > 0) {
      return absl::FailedPreconditionError(
          absl::StrCat(config.out_root(), " holds ", plan.manifest.shapes(0).split(),
                       " shapes that split=", config.split(), " leaves alone, and ", same.message()));
    }
  }
  if (!have_manifest && !have_journal && !config.overwrite()) MF_RETURN_IF_ERROR(CheckNotForeign(config));

  Records records;
  for (const CacheManifest* part : {&manifest, &journal}) {
    for (const ShapeEntry& entry : part->shapes()) {
      if (IsBuilt(config, entry.split())) records[FullKey(entry)] = {&entry, part};
    }
  }
  if (!config.overwrite()) {
    MF_RETURN_IF_ERROR(CheckRecords(records, plan, config));
    MF_RETURN_IF_ERROR(FindFinished(records, journal, config, &plan));
    return plan;
  }
  for (const ShapeEntry& shape : plan.shapes) records.erase(FullKey(shape));
  for (const auto& [key, record] : records) {
    plan.obsolete.push_back(ShapePath(config.out_root(), *record.entry));
  }
  return plan;
}

}  // namespace manyform

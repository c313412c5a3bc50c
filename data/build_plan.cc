#include "data/build_plan.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "data/build_options.h"
#include "data/cache_journal.h"
#include "data/manifest.h"
#include "google/protobuf/text_format.h"

namespace manyform {
namespace {

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string FullKey(const ShapeEntry& entry) { return absl::StrCat(entry.split(), "/", ShapeKey(entry)); }

// The options that say what is built: "split=all".
std::string ChoiceText(const Collection& collection) {
  std::string text;
  for (const std::string& name : collection.unfingerprinted) {
    const auto* field = collection.config->GetDescriptor()->FindFieldByName(name);
    if (field == nullptr || field->is_repeated()) continue;
    std::string value;
    google::protobuf::TextFormat::PrintFieldValueToString(*collection.config, field, -1, &value);
    value.erase(std::remove(value.begin(), value.end(), '"'), value.end());
    absl::StrAppend(&text, text.empty() ? "" : " ", name, "=", value);
  }
  return text.empty() ? "this build" : text;
}

absl::Status Refuse(const Collection& collection, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat(collection.out_root, " cannot be continued: ", why, "; overwrite=true rebuilds it"));
}

bool HasSize(const std::string& path, uint64_t size) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && static_cast<uint64_t>(info.st_size) == size;
}

// What one of the records says of a shape.
struct Record {
  const ShapeEntry* entry = nullptr;
  const CacheManifest* from = nullptr;
  bool finished = false;
};
using Records = absl::flat_hash_map<std::string, Record>;

Records IndexRecords(const BuildRecords& records, const std::vector<std::string>& splits) {
  Records index;
  const auto add = [&](const CacheManifest& from, bool finished) {
    for (const ShapeEntry& entry : from.shapes()) {
      if (Contains(splits, entry.split())) index[FullKey(entry)] = {&entry, &from, finished};
    }
  };
  add(records.manifest, true);
  for (const BuildRecords::Part& part : records.parts) add(part.content, part.finished);
  return index;
}

absl::Status CheckOptions(const Collection& collection, const BuildRecords& records,
                          const CacheManifest& kept) {
  const bool have_manifest = records.manifest.has_version();
  if (have_manifest) {
    const absl::Status same = CheckSameOptions(records.manifest, collection);
    if (!same.ok() && !collection.overwrite) return Refuse(collection, same.message());
    if (!same.ok() && kept.shapes_size() > 0) {
      return absl::FailedPreconditionError(
          absl::StrCat(collection.out_root, " holds ", kept.shapes(0).split(), " shapes that ",
                       ChoiceText(collection), " leaves alone, and ", same.message()));
    }
  }
  if (collection.overwrite) return absl::OkStatus();
  for (const BuildRecords::Part& part : records.parts) {
    const absl::Status same = CheckSameOptions(part.content, collection);
    if (!same.ok()) return Refuse(collection, absl::StrCat(same.message(), " (", part.path, ")"));
  }
  if (have_manifest || !records.parts.empty()) return absl::OkStatus();
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> files, Glob(collection.out_root, "*/*/*.npz"));
  if (files.empty()) return absl::OkStatus();
  // Another shard's journal comes before its first file; it may have started just now.
  MF_ASSIGN_OR_RETURN(const std::vector<BuildFile> others, ListBuildFiles(collection.out_root));
  for (const BuildFile& other : others) {
    if (other.program == collection.program && !other.shard.is_everything()) return absl::OkStatus();
  }
  return Refuse(collection, absl::StrCat("it holds shapes without a manifest, such as ", files[0],
                                         ", which were not built here"));
}

// A record of the splits that are built now has to be of a shape that is wanted, and made as it would be now.
absl::Status CheckRecords(const Records& records, const Collection& collection) {
  absl::flat_hash_map<std::string, const ShapeEntry*> wanted;
  for (const ShapeEntry& shape : collection.shapes) wanted[FullKey(shape)] = &shape;
  std::vector<std::string> keys;
  keys.reserve(records.size());
  for (const auto& [key, record] : records) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  for (const std::string& key : keys) {
    const ShapeEntry& there = *records.at(key).entry;
    const auto found = wanted.find(key);
    if (found == wanted.end()) {
      return Refuse(collection, absl::StrCat("it holds ", key, ", whose source ", there.source(),
                                             " is no longer in the list"));
    }
    const ShapeEntry& now = *found->second;
    if (there.source() != now.source()) {
      return Refuse(collection,
                    absl::StrCat(key, " was built from ", there.source(), ", not ", now.source()));
    }
    if (there.seed() != now.seed()) {
      return Refuse(collection,
                    absl::StrCat(key, " was built with seed ", there.seed(), ", not ", now.seed(),
                                 ": the list of sources or ", ChoiceText(collection), " is another"));
    }
  }
  return absl::OkStatus();
}

// Sets what a record knows if the file is still the one that was written.
absl::Status FindFinished(const Records& records, const Collection& collection, BuildPlan* plan) {
  const int64_t n = static_cast<int64_t>(plan->shapes.size());
  std::vector<uint8_t> good(n);
  MF_RETURN_IF_ERROR(ParallelFor(n, collection.num_threads, [&](int64_t i) {
    const auto found = records.find(FullKey(plan->shapes[i]));
    if (found == records.end()) return absl::OkStatus();
    const ShapeEntry& entry = *found->second.entry;
    const std::string path = ShapePath(collection.out_root, entry);
    // A finished build is trusted up to sizes; a power cut can have lost what an unfinished one wrote.
    good[i] = found->second.finished ? HasSize(path, entry.file_size()) : VerifyShapeFile(path, entry).ok();
    return absl::OkStatus();
  }));
  for (int64_t i = 0; i < n; ++i) {
    const auto found = records.find(FullKey(plan->shapes[i]));
    if (found == records.end()) continue;
    if (!good[i]) {
      LogLine(
          absl::StrCat(ShapePath(collection.out_root, plan->shapes[i]), ": missing or damaged, built again"));
      continue;
    }
    const Record& record = found->second;
    plan->shapes[i] = *record.entry;
    SetLayout(&plan->manifest, &plan->shapes[i], record.from->layouts(record.entry->layout()));
    plan->finished[i] = true;
  }
  return absl::OkStatus();
}

}  // namespace

int64_t BuildPlan::num_finished() const { return std::count(finished.begin(), finished.end(), true); }

void KeepOtherSplits(const CacheManifest& manifest, const std::vector<std::string>& splits,
                     CacheManifest* kept) {
  for (const ShapeEntry& shape : manifest.shapes()) {
    if (Contains(splits, shape.split())) continue;
    ShapeEntry* entry = kept->add_shapes();
    *entry = shape;
    SetLayout(kept, entry, manifest.layouts(shape.layout()));
  }
  for (const FailedShape& failed : manifest.failed()) {
    if (!Contains(splits, failed.split())) *kept->add_failed() = failed;
  }
}

absl::StatusOr<BuildRecords> ReadBuildRecords(const Collection& collection) {
  BuildRecords records;
  absl::StatusOr<CacheManifest> manifest = ReadManifest(collection.out_root);
  if (manifest.ok()) {
    records.manifest = *std::move(manifest);
  } else if (absl::IsDataLoss(manifest.status()) && collection.overwrite) {
    LogLine(absl::StrCat(manifest.status().message(), "; replaced"));
  } else if (!absl::IsNotFound(manifest.status())) {
    return manifest.status();
  }
  MF_ASSIGN_OR_RETURN(const std::vector<BuildFile> files, ListBuildFiles(collection.out_root));
  for (const BuildFile& file : files) {
    if (file.program != collection.program) continue;
    if (file.is_part) {
      absl::StatusOr<ShardPart> part = ReadPart(file);
      // A part that is gone meanwhile, or damaged, is built again.
      if (part.ok()) records.parts.push_back({file.path, std::move(*part->mutable_part()), true});
      if (absl::IsDataLoss(part.status())) LogLine(absl::StrCat(part.status().message(), "; left out"));
      continue;
    }
    absl::StatusOr<CacheManifest> journal = CacheJournal::Read(file.path);
    if (absl::IsNotFound(journal.status())) continue;
    MF_RETURN_IF_ERROR(journal.status());
    // A journal that was opened and not begun says nothing.
    if (journal->has_build_fingerprint()) records.parts.push_back({file.path, *std::move(journal), false});
  }
  return records;
}

absl::StatusOr<BuildPlan> PlanBuild(const Collection& collection, Shard shard, const BuildRecords& records) {
  BuildPlan plan;
  for (size_t k = 0; k < collection.shapes.size(); ++k) {
    if (shard.Has(static_cast<int64_t>(k))) plan.shapes.push_back(collection.shapes[k]);
  }
  plan.finished.resize(plan.shapes.size());
  KeepOtherSplits(records.manifest, collection.splits, &plan.manifest);
  MF_RETURN_IF_ERROR(CheckOptions(collection, records, plan.manifest));
  Records index = IndexRecords(records, collection.splits);
  if (!collection.overwrite) {
    MF_RETURN_IF_ERROR(CheckRecords(index, collection));
    MF_RETURN_IF_ERROR(FindFinished(index, collection, &plan));
    return plan;
  }
  for (const ShapeEntry& shape : collection.shapes) index.erase(FullKey(shape));
  for (const auto& [key, record] : index) {
    plan.obsolete.push_back(ShapePath(collection.out_root, *record.entry));
  }
  return plan;
}

}  // namespace manyform

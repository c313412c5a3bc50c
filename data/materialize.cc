#include "data/materialize.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "data/build_lock.h"
#include "data/manifest.h"
#include "data/place_file.h"
#include "data/split_manifest_io.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

namespace fs = std::filesystem;

enum class Outcome { kPlaced, kKept, kMissing };

// One record of the split on its way into the view.
struct Task {
  const SplitRecord* record;
  std::string from, to;
  Outcome outcome = Outcome::kMissing;
  bool present = false;  // the view has a file
  ShapeEntry entry;      // if it is a shape
  ArrayLayout layout;    // if the source's manifest does not know it
  bool known = false;    // entry.layout is the source's number
  std::string damage;    // why it is not a shape
};

absl::StatusOr<std::set<std::string>> ChosenSplits(const MaterializeConfig& config,
                                                   const SplitManifest& manifest) {
  std::set<std::string> there;
  for (const SplitRecord& record : manifest.records()) there.insert(record.split());
  if (config.splits().empty()) {
    std::set<std::string> chosen;
    for (const char* split : {"train_mesh", "train_pc", "train_udf", "eval"}) {
      if (there.contains(split)) chosen.insert(split);
    }
    if (!chosen.empty()) return chosen;
  }
  for (const std::string& split : config.splits()) {
    if (there.contains(split)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(config.split_json(), ": no split '", split, "', it has ", absl::StrJoin(there, ", ")));
  }
  if (config.splits().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(config.split_json(), ": none of the default splits; it has ",
                     there.empty() ? "no records" : absl::StrJoin(there, ", ")));
  }
  return std::set<std::string>(config.splits().begin(), config.splits().end());
}

absl::Status CheckRoots(const MaterializeConfig& config) {
  if (!fs::is_directory(config.src_cache_root())) {
    return absl::NotFoundError(absl::StrCat(config.src_cache_root(), ": src_cache_root is not a folder"));
  }
  std::error_code error;
  if (fs::equivalent(config.src_cache_root(), config.out_root(), error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("out_root ", config.out_root(), " is the source itself, expected another folder"));
  }
  return absl::OkStatus();
}

std::vector<Task> MakeTasks(const MaterializeConfig& config, const SplitManifest& manifest,
                            const std::set<std::string>& chosen) {
  std::vector<Task> tasks;
  for (const SplitRecord& record : manifest.records()) {
    if (!chosen.contains(record.split())) continue;
    Task& task = tasks.emplace_back();
    task.record = &record;
    task.from = JoinPath(config.src_cache_root(), record.src_relpath());
    task.to = JoinPath(config.out_root(), absl::StrCat(record.split(), "/", record.key(), ".npz"));
  }
  return tasks;
}

absl::Status MakeFolders(const std::vector<Task>& tasks) {
  std::set<std::string> folders;
  for (const Task& task : tasks) folders.insert(task.to.substr(0, task.to.rfind('/')));
  for (const std::string& folder : folders) {
    MF_RETURN_IF_ERROR(MakeDirectories(folder));
    MF_RETURN_IF_ERROR(RemoveStaleTemporaries(folder));
  }
  return absl::OkStatus();
}

absl::Status Place(LinkMode mode, bool overwrite, Task* task) {
  std::error_code error;
  // exists() follows links: one to nothing is not there.
  const bool source = fs::is_regular_file(task->from, error), there = fs::exists(task->to, error);
  task->present = there;
  if (!source) return absl::OkStatus();
  task->outcome = Outcome::kKept;
  if (there && !overwrite) return absl::OkStatus();
  if (fs::equivalent(fs::path(task->from).parent_path(), fs::path(task->to).parent_path(), error) &&
      fs::path(task->from).filename() == fs::path(task->to).filename()) {
    return absl::InvalidArgumentError(absl::StrCat(
        task->to, ": is the source file itself; the view's folder must not lead into the source"));
  }
  MF_RETURN_IF_ERROR(PlaceFile(task->from, task->to, mode));
  task->outcome = Outcome::kPlaced;
  task->present = true;
  return absl::OkStatus();
}

// What the manifest says of the view's file: the source's entry if it is as long as that says, else what the
// file itself says.
void Describe(const absl::flat_hash_map<std::string, const ShapeEntry*>& source, Task* task) {
  if (!task->present) return;
  struct stat info;
  const bool found = stat(task->to.c_str(), &info) == 0;
  const std::string& key = task->record->key();
  const auto known = source.find(task->record->src_relpath());
  if (found && known != source.end() && known->second->file_size() == static_cast<uint64_t>(info.st_size)) {
    task->entry = *known->second;
    task->known = true;
  } else if (const absl::StatusOr<NpzReader> npz = NpzReader::Open(task->to); npz.ok()) {
    task->entry.set_file_size(info.st_size);
    task->layout = LayoutOf(*npz);
  } else {
    task->damage = std::string(npz.status().message());
  }
  task->entry.set_split(task->record->split());
  task->entry.set_class_name(key.substr(0, key.find('/')));
  task->entry.set_id(key.substr(key.find('/') + 1));
  task->entry.set_source(task->record->src_relpath());
}

// Entries of splits that an earlier run made and this one leaves alone.
absl::Status TakeOver(const std::string& out_root, const std::set<std::string>& chosen, CacheManifest* view) {
  absl::StatusOr<CacheManifest> old = ReadManifest(out_root);
  if (absl::IsNotFound(old.status())) return absl::OkStatus();
  MF_RETURN_IF_ERROR(old.status());
  for (ShapeEntry& entry : *old->mutable_shapes()) {
    if (chosen.contains(entry.split())) continue;
    const ArrayLayout& layout = old->layouts(entry.layout());
    ShapeEntry* taken = view->add_shapes();
    *taken = std::move(entry);
    SetLayout(view, taken, layout);
  }
  for (FailedShape& failed : *old->mutable_failed()) {
    if (!chosen.contains(failed.split())) *view->add_failed() = std::move(failed);
  }
  return absl::OkStatus();
}

absl::Status WriteViewManifest(const MaterializeConfig& config, const CacheManifest& source,
                               const std::set<std::string>& chosen, std::vector<Task>* tasks) {
  CacheManifest view;
  view.set_version(1);
  if (source.has_build_config()) view.set_build_config(source.build_config());
  if (source.has_build_fingerprint()) view.set_build_fingerprint(source.build_fingerprint());
  *view.mutable_layouts() = source.layouts();
  MF_RETURN_IF_ERROR(TakeOver(config.out_root(), chosen, &view));
  for (Task& task : *tasks) {
    if (!task.damage.empty()) {
      FailedShape* failed = view.add_failed();
      failed->set_split(task.entry.split());
      failed->set_class_name(task.entry.class_name());
      failed->set_id(task.entry.id());
      failed->set_source(task.entry.source());
      failed->set_reason(task.damage);
      LogLine(absl::StrCat("not a shape: ", task.damage));
    } else if (task.present) {
      ShapeEntry* entry = view.add_shapes();
      *entry = std::move(task.entry);
      if (!task.known) SetLayout(&view, entry, task.layout);
    }
  }
  return WriteManifest(config.out_root(), std::move(view));
}

absl::Status WriteSource(const MaterializeConfig& config, const std::set<std::string>& chosen,
                         const MaterializeResult& result) {
  nlohmann::ordered_json json = {{"src_cache_root", config.src_cache_root()},
                                 {"split_json", config.split_json()},
                                 {"splits", chosen},
                                 {"link_mode", config.link_mode()},
                                 {"created", result.linked()},
                                 {"skipped", result.kept()},
                                 {"missing", result.missing()}};
  // Paths that are not UTF-8 keep what can be shown of them.
  const std::string text = json.dump(2, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
  return WriteFileAtomically(JoinPath(config.out_root(), "_meta/split_source.json"), text);
}

MaterializeResult Count(const std::vector<Task>& tasks) {
  MaterializeResult result;
  absl::flat_hash_map<std::string, SplitCount*> counts;
  int64_t tally[3] = {0, 0, 0};
  for (const Task& task : tasks) {
    SplitCount*& count = counts[task.record->split()];
    if (count == nullptr) {
      count = result.add_counts();
      count->set_split(task.record->split());
      count->set_shapes(0);
    }
    if (task.present) count->set_shapes(count->shapes() + 1);
    ++tally[static_cast<int>(task.outcome)];
  }
  result.set_linked(tally[static_cast<int>(Outcome::kPlaced)]);
  result.set_kept(tally[static_cast<int>(Outcome::kKept)]);
  result.set_missing(tally[static_cast<int>(Outcome::kMissing)]);
  return result;
}

// Says what a reader of the view would otherwise wonder about.
absl::Status Report(const MaterializeConfig& config, const std::set<std::string>& chosen,
                    const std::vector<Task>& tasks, const MaterializeResult& result) {
  constexpr int kNamed = 5;
  int named = 0;
  for (const Task& task : tasks) {
    if (task.outcome == Outcome::kMissing && named++ < kNamed) LogLine("missing source: " + task.from);
  }
  if (named > kNamed) LogLine(absl::StrCat("... and ", named - kNamed, " more"));
  absl::flat_hash_set<std::string> wanted;
  for (const Task& task : tasks) wanted.insert(task.to);
  for (const std::string& split : chosen) {
    MF_ASSIGN_OR_RETURN(const std::vector<std::string> paths,
                        Glob(JoinPath(config.out_root(), split), "*/*.npz"));
    const int64_t others = std::count_if(paths.begin(), paths.end(),
                                         [&](const std::string& path) { return !wanted.contains(path); });
    if (others == 0) continue;
    LogLine(absl::StrCat(JoinPath(config.out_root(), split), ": ", others,
                         " files are not in the split file; the manifest leaves them out"));
  }
  LogLine(absl::StrCat(config.out_root(), ": ", result.linked(), " placed, ", result.kept(), " kept, ",
                       result.missing(), " missing"));
  return absl::OkStatus();
}

absl::StatusOr<CacheManifest> SourceManifest(const std::string& root) {
  absl::StatusOr<CacheManifest> manifest = ReadManifest(root);
  if (!absl::IsNotFound(manifest.status())) return manifest;
  LogLine(absl::StrCat(root, ": no ", std::string(kManifestName), ", shapes are opened one by one"));
  return CacheManifest();
}

}  // namespace

absl::StatusOr<MaterializeResult> Materialize(const MaterializeConfig& config) {
  MF_ASSIGN_OR_RETURN(const LinkMode mode, ParseLinkMode(config.link_mode()));
  MF_ASSIGN_OR_RETURN(const SplitManifest split, ReadSplitManifest(config.split_json()));
  MF_ASSIGN_OR_RETURN(const std::set<std::string> chosen, ChosenSplits(config, split));
  MF_RETURN_IF_ERROR(CheckRoots(config));
  MF_ASSIGN_OR_RETURN(const CacheManifest source, SourceManifest(config.src_cache_root()));
  absl::flat_hash_map<std::string, const ShapeEntry*> entries;
  for (const ShapeEntry& entry : source.shapes()) {
    entries[absl::StrCat(entry.split(), "/", ShapeKey(entry), ".npz")] = &entry;
  }
  std::vector<Task> tasks = MakeTasks(config, split, chosen);
  if (std::none_of(tasks.begin(), tasks.end(), [](const Task& task) { return FileExists(task.from); })) {
    return absl::NotFoundError(absl::StrCat(config.src_cache_root(), ": none of the ", tasks.size(),
                                            " source files is there, the first is ", tasks[0].from));
  }
  // The manifest is read, added to and written: two runs at once would lose one another's shapes.
  MF_ASSIGN_OR_RETURN(const std::unique_ptr<BuildLock> lock,
                      BuildLock::Take(config.out_root(), BuildLock::kAlone));
  MF_RETURN_IF_ERROR(MakeFolders(tasks));
  {
    Progress progress("materialize", "shapes", static_cast<int64_t>(tasks.size()));
    MF_RETURN_IF_ERROR(ParallelFor(static_cast<int64_t>(tasks.size()), 0, [&](int64_t i) -> absl::Status {
      MF_RETURN_IF_ERROR(Place(mode, config.overwrite(), &tasks[i]));
      Describe(entries, &tasks[i]);
      progress.Add(1, tasks[i].outcome == Outcome::kKept);
      return absl::OkStatus();
    }));
  }
  MaterializeResult result = Count(tasks);
  MF_RETURN_IF_ERROR(Report(config, chosen, tasks, result));
  MF_RETURN_IF_ERROR(WriteSource(config, chosen, result));
  MF_RETURN_IF_ERROR(WriteViewManifest(config, source, chosen, &tasks));
  NoteInput(config.split_json(), Sha256HexOfFile(config.split_json()).value_or(""));
  return result;
}

}  // namespace manyform

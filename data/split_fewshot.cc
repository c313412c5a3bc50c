#include "data/split_fewshot.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/result_writer.h"
#include "base/status_macros.h"
#include "data/manifest.h"
#include "data/split_manifest_io.h"
#include "google/protobuf/repeated_ptr_field.h"

namespace manyform {
namespace {

using LabelledShapes = google::protobuf::RepeatedPtrField<LabelledShape>;

// A cache's shapes, by its manifest, or by its folders where it has none.
absl::StatusOr<std::vector<ShapeEntry>> ListShapes(const std::string& root, const std::string& train,
                                                   const std::string& test) {
  if (!FileExists(JoinPath(root, kManifestName))) return ListCacheFiles(root);
  MF_ASSIGN_OR_RETURN(const CacheManifest manifest, ReadManifest(root));
  NoteInput(root, SplitFingerprint(manifest, train));
  if (!test.empty()) NoteInput(absl::StrCat(root, " ", test), SplitFingerprint(manifest, test));
  return std::vector<ShapeEntry>(manifest.shapes().begin(), manifest.shapes().end());
}

absl::StatusOr<std::vector<LabelledPath>> PathsOf(const std::string& root, const std::string& split,
                                                  const std::vector<ShapeEntry>& shapes) {
  std::vector<LabelledPath> paths;
  for (const ShapeEntry& shape : shapes) {
    if (shape.split() == split) paths.push_back({shape.class_name(), ShapePath(root, shape)});
  }
  if (paths.empty()) return absl::NotFoundError(absl::StrCat(root, ": no shapes in split '", split, "'"));
  std::sort(paths.begin(), paths.end(),
            [](const LabelledPath& a, const LabelledPath& b) { return a.path < b.path; });
  return paths;
}

// The shapes of the picked classes.
std::vector<LabelledPath> OfClasses(const std::vector<LabelledPath>& paths,
                                    const absl::flat_hash_map<std::string, int>& labels) {
  std::vector<LabelledPath> chosen;
  for (const LabelledPath& path : paths) {
    if (labels.contains(path.class_name)) chosen.push_back(path);
  }
  return chosen;
}

void Add(const std::vector<LabelledPath>& paths, const std::vector<int64_t>& indices,
         const absl::flat_hash_map<std::string, int>& labels, LabelledShapes* out) {
  for (const int64_t i : indices) {
    LabelledShape* shape = out->Add();
    shape->set_path(paths[i].path);
    shape->set_label(labels.at(paths[i].class_name));
  }
}

absl::Status WriteLines(const std::string& path, const LabelledShapes& shapes) {
  std::string text;
  for (const LabelledShape& shape : shapes) absl::StrAppend(&text, shape.path(), "\n");
  return WriteFileAtomically(path, text);
}

// As materialize reads it.
SplitManifest AsSplitManifest(const SplitFewshotConfig& config, const FewshotSplit& split) {
  SplitManifest manifest;
  SplitMeta* meta = manifest.mutable_meta();
  meta->set_cache_root(config.cache_root());
  meta->set_train_split(config.train_split());
  meta->set_eval_split(config.test_split());
  meta->set_seed(config.fewshot_seed());
  const auto add = [&](const std::string& name, const std::string& from, const LabelledShapes& shapes) {
    const size_t skip = ShapePath(config.cache_root(), ShapeEntry()).size() - std::string("//.npz").size();
    for (const LabelledShape& shape : shapes) {
      SplitRecord* record = manifest.add_records();
      record->set_src_relpath(shape.path().substr(skip));
      const std::string key = record->src_relpath().substr(from.size() + 1);
      record->set_key(key.substr(0, key.size() - std::string(".npz").size()));
      record->set_split(name);
      record->set_src_split(from);
    }
    SplitCount* count = meta->add_counts();
    count->set_split(name);
    count->set_shapes(shapes.size());
  };
  add("train", config.train_split(), split.train());
  add("val", config.train_split(), split.val());
  add("test", config.test_split(), split.test());
  return manifest;
}

absl::Status WriteAll(const SplitFewshotConfig& config, const FewshotSplit& split,
                      const SplitManifest& manifest) {
  const std::string& folder = config.output();
  MF_RETURN_IF_ERROR(WriteLines(JoinPath(folder, "train.txt"), split.train()));
  MF_RETURN_IF_ERROR(WriteLines(JoinPath(folder, "val.txt"), split.val()));
  MF_RETURN_IF_ERROR(WriteLines(JoinPath(folder, "test.txt"), split.test()));
  MF_RETURN_IF_ERROR(
      WriteFileAtomically(JoinPath(folder, "classes.txt"), absl::StrJoin(split.classes(), "\n") + "\n"));
  MF_RETURN_IF_ERROR(WriteResult(JoinPath(folder, "labels.json"), split));
  return WriteSplitManifest(JoinPath(folder, "split.json"), manifest);
}

}  // namespace

absl::StatusOr<FewshotSplit> MakeFewshotSplit(const SplitFewshotConfig& config,
                                              const std::vector<LabelledPath>& all_train,
                                              const std::vector<LabelledPath>& all_test) {
  std::vector<std::string> names;
  names.reserve(all_train.size());
  for (const LabelledPath& path : all_train) names.push_back(path.class_name);
  const int64_t way_seed = config.fewshot_way_seed() < 0 ? config.fewshot_seed() : config.fewshot_way_seed();
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> classes,
                      PickClasses(std::move(names), config.fewshot_n_way(), way_seed));
  absl::flat_hash_map<std::string, int> labels;
  FewshotSplit split;
  for (const std::string& name : classes) {
    labels[name] = split.classes_size();
    split.add_classes(name);
  }
  const std::vector<LabelledPath> train = OfClasses(all_train, labels);
  MF_ASSIGN_OR_RETURN(TrainValidation parts, SplitValidation(train, config.val_ratio(), config.val_seed()));
  MF_ASSIGN_OR_RETURN(parts.train, PickShots(train, parts.train, config.fewshot_k(), config.fewshot_seed()));
  if (parts.train.empty()) return absl::InvalidArgumentError("val_ratio: nothing is left to train on");
  const std::vector<LabelledPath> test = OfClasses(all_test, labels);
  if (config.fewshot_n_way() == 0 && test.size() != all_test.size()) {
    const auto unknown = std::find_if(all_test.begin(), all_test.end(), [&](const LabelledPath& path) {
      return !labels.contains(path.class_name);
    });
    return absl::InvalidArgumentError(
        absl::StrCat(unknown->path, ": class '", unknown->class_name, "' is tested but not trained"));
  }
  std::vector<int64_t> every(test.size());
  std::iota(every.begin(), every.end(), int64_t{0});
  Add(train, parts.train, labels, split.mutable_train());
  Add(train, parts.validation, labels, split.mutable_val());
  Add(test, every, labels, split.mutable_test());
  return split;
}

absl::StatusOr<SplitFewshotResult> SplitFewshot(const SplitFewshotConfig& config) {
  MF_ASSIGN_OR_RETURN(const std::vector<ShapeEntry> shapes,
                      ListShapes(config.cache_root(), config.train_split(), config.test_split()));
  MF_ASSIGN_OR_RETURN(const std::vector<LabelledPath> train,
                      PathsOf(config.cache_root(), config.train_split(), shapes));
  std::vector<LabelledPath> test;
  if (!config.test_split().empty()) {
    MF_ASSIGN_OR_RETURN(test, PathsOf(config.cache_root(), config.test_split(), shapes));
  }
  MF_ASSIGN_OR_RETURN(const FewshotSplit split, MakeFewshotSplit(config, train, test));
  const SplitManifest manifest = AsSplitManifest(config, split);
  MF_RETURN_IF_ERROR(WriteAll(config, split, manifest));
  NoteSeed("val", static_cast<uint64_t>(config.val_seed()));
  NoteSeed("fewshot", static_cast<uint64_t>(config.fewshot_seed()));
  SplitFewshotResult result;
  *result.mutable_classes() = split.classes();
  *result.mutable_counts() = manifest.meta().counts();
  LogLine(absl::StrCat(config.output(), ": ", split.classes_size(), " classes, train ", split.train_size(),
                       ", val ", split.val_size(), ", test ", split.test_size()));
  return result;
}

}  // namespace manyform

#include "tools/demo/import_furniture.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/zip_archive.h"
#include "google/protobuf/util/json_util.h"
#include "tools/demo/furniture_catalogue.h"
#include "tools/demo/properties.h"
#include "tools/demo/upright_obj.h"

namespace manyform {
namespace {

constexpr char kCatalogueMember[] = "PluginFurnitureCatalog.properties";
constexpr char kModelsFolder[] = "models";
constexpr char kObjName[] = "model_normalized.obj";
constexpr char kMtlName[] = "model_normalized.mtl";
constexpr const char* kLicenceNames[] = {"BLENDSWAP_LICENSE.txt", "LICENSE.TXT", "LICENSE.txt"};

// Several times what the largest known library holds.
constexpr uint64_t kMaxCatalogueBytes = 16 << 20;
constexpr uint64_t kMaxObjBytes = 256 << 20;
constexpr uint64_t kMaxTextBytes = 4 << 20;

struct Library {
  /// "Scopia".
  std::string name;
  ZipArchive zip;
  std::vector<FurnitureEntry> entries;
};

/// A model that will be part of the import.
struct Candidate {
  const Library* library;
  Rotation rotation;
  CatalogueModel model;
};

std::string WithoutEnding(const std::string& path) { return path.substr(0, path.rfind('.')); }
std::string Folder(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }
std::string Stem(const std::string& path) { return WithoutEnding(path.substr(path.rfind('/') + 1)); }

absl::StatusOr<std::vector<std::unique_ptr<Library>>> OpenLibraries(const std::string& root) {
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> paths, Glob(root, "*.sh3f"));
  if (paths.empty()) {
    return absl::NotFoundError(absl::StrCat(
        root, ": no .sh3f furniture libraries (Debian's are in the package sweethome3d-furniture)"));
  }
  std::vector<std::unique_ptr<Library>> libraries;
  for (const std::string& path : paths) {
    MF_ASSIGN_OR_RETURN(ZipArchive zip, ZipArchive::Open(path));
    MF_ASSIGN_OR_RETURN(const std::string bytes, zip.Read(kCatalogueMember, kMaxCatalogueBytes));
    auto properties = ParseProperties(bytes);
    if (!properties.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": ", kCatalogueMember, ": ", properties.status().message()));
    }
    libraries.push_back(
        std::unique_ptr<Library>(new Library{Stem(path), std::move(zip), FurnitureEntries(*properties)}));
  }
  return libraries;
}

bool HasParentStep(absl::string_view path) {
  const std::vector<absl::string_view> steps = absl::StrSplit(path, '/');
  return std::find(steps.begin(), steps.end(), "..") != steps.end();
}

/// Reads models one after another and keeps those that can be taken and are new.
class Selection {
 public:
  explicit Selection(const ImportFurnitureConfig& config) : config_(config) {}

  void Add(const Library& library, const FurnitureEntry& entry) {
    Candidate candidate{&library, kNoRotation, {}};
    CatalogueModel& model = candidate.model;
    model.set_class_name(Slug(entry.category.empty() ? "unsorted" : entry.category));
    if (config_.max_models() > 0 && per_class_[model.class_name()] >= config_.max_models()) {
      ++beyond_max_models_;
      return;
    }
    model.set_path(std::string(absl::StripPrefix(entry.model, "/")));
    const absl::Status status = Examine(entry, &candidate);
    if (!status.ok()) {
      Skip(library, model.path(), std::string(status.message()));
      return;
    }
    ++per_class_[model.class_name()];
    model.set_id(FreeId(absl::StrCat(Slug(library.name), "_", Slug(Stem(model.path())))));
    model.set_name(entry.name);
    model.set_category(entry.category);
    for (const std::string& tag : entry.tags) model.add_tags(tag);
    model.set_licence(entry.licence);
    model.set_author(entry.author);
    model.set_library(library.name + ".sh3f");
    candidates_.push_back(std::move(candidate));
  }

  /// By class and id, without the classes that are too small.
  std::vector<Candidate> Finish() {
    if (beyond_max_models_ > 0) {
      LogLine(absl::StrFormat("%d models are beyond max_models=%d of their class", beyond_max_models_,
                              config_.max_models()));
    }
    std::vector<Candidate> kept;
    for (Candidate& candidate : candidates_) {
      const std::string& name = candidate.model.class_name();
      if (per_class_[name] >= config_.min_per_class()) {
        kept.push_back(std::move(candidate));
      } else {
        Skip(*candidate.library, candidate.model.path(),
             absl::StrFormat("class %s has %d models, fewer than min_per_class=%d", name, per_class_[name],
                             config_.min_per_class()));
      }
    }
    std::sort(kept.begin(), kept.end(), [](const Candidate& a, const Candidate& b) {
      return std::pair(a.model.class_name(), a.model.id()) < std::pair(b.model.class_name(), b.model.id());
    });
    return kept;
  }

  const std::vector<SkippedModel>& skipped() const { return skipped_; }

 private:
  /// Why the model cannot be taken, or OK with its rotation set.
  absl::Status Examine(const FurnitureEntry& entry, Candidate* candidate) {
    const std::string& path = candidate->model.path();
    const Library& library = *candidate->library;
    if (HasParentStep(path)) return absl::InvalidArgumentError("path leads out of the library");
    if (!library.zip.Contains(path)) return absl::NotFoundError("not in the library");
    if (!absl::EndsWithIgnoreCase(path, ".obj")) {
      return absl::InvalidArgumentError("only .obj models are read");
    }
    MF_ASSIGN_OR_RETURN(candidate->rotation, ParseRotation(entry.rotation));
    MF_ASSIGN_OR_RETURN(const std::string bytes, library.zip.Read(path, kMaxObjBytes));
    MF_ASSIGN_OR_RETURN(const UprightObj obj, MakeUpright(bytes, candidate->rotation, ""));
    if (obj.vertices == 0 || obj.faces == 0) return absl::InvalidArgumentError("has no faces");
    const auto [first, is_new] =
        by_geometry_.try_emplace(obj.geometry_hash, absl::StrCat(library.name, ".sh3f/", path));
    if (!is_new) return absl::AlreadyExistsError(absl::StrCat("same geometry as ", first->second));
    return absl::OkStatus();
  }

  std::string FreeId(const std::string& wanted) {
    std::string id = wanted;
    for (int n = 2; !ids_.insert(id).second; ++n) id = absl::StrCat(wanted, "_", n);
    return id;
  }

  void Skip(const Library& library, const std::string& path, std::string reason) {
    SkippedModel skipped;
    skipped.set_library(library.name + ".sh3f");
    skipped.set_path(path);
    skipped.set_reason(std::move(reason));
    skipped_.push_back(std::move(skipped));
  }

  const ImportFurnitureConfig& config_;
  std::vector<Candidate> candidates_;
  std::vector<SkippedModel> skipped_;
  std::map<std::string, int32_t> per_class_;
  absl::flat_hash_map<std::string, std::string> by_geometry_;
  absl::flat_hash_set<std::string> ids_;
  int64_t beyond_max_models_ = 0;
};

std::string ModelFolder(const std::string& root, const CatalogueModel& model) {
  return absl::StrCat(root, "/", model.class_name(), "/", model.id());
}
std::string ObjPath(const std::string& root, const CatalogueModel& model) {
  return absl::StrCat(ModelFolder(root, model), "/", kModelsFolder, "/", kObjName);
}

/// What lies in `root` would be part of the next cache, so models of another import are an error.
absl::Status CheckNoForeignModels(const std::string& root, const std::vector<Candidate>& candidates) {
  std::set<std::string> known;
  for (const Candidate& candidate : candidates) known.insert(ObjPath(root, candidate.model));
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> there,
                      Glob(root, absl::StrCat("*/*/", kModelsFolder, "/", kObjName)));
  for (const std::string& path : there) {
    if (known.find(path) != known.end()) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is not part of this import: empty out_root, or give another one"));
  }
  return absl::OkStatus();
}

/// Images stay in the library, and with them the statements that name them.
std::string WithoutTextures(absl::string_view mtl) {
  std::string kept;
  for (absl::string_view line : absl::StrSplit(mtl, absl::ByAnyChar("\r\n"), absl::SkipEmpty())) {
    const absl::string_view word = absl::StripLeadingAsciiWhitespace(line);
    if (absl::StartsWith(word, "map_") || absl::StartsWith(word, "bump") || absl::StartsWith(word, "disp") ||
        absl::StartsWith(word, "decal") || absl::StartsWith(word, "refl")) {
      continue;
    }
    absl::StrAppend(&kept, line, "\n");
  }
  return kept;
}

/// The .obj comes last: where it is, the model is whole.
absl::Status WriteModel(const std::string& root, const Candidate& candidate) {
  const ZipArchive& zip = candidate.library->zip;
  const std::string& path = candidate.model.path();
  const std::string folder = ModelFolder(root, candidate.model);
  for (const char* name : kLicenceNames) {
    if (!zip.Contains(Folder(path) + name)) continue;
    MF_ASSIGN_OR_RETURN(const std::string licence, zip.Read(Folder(path) + name, kMaxTextBytes));
    MF_RETURN_IF_ERROR(WriteFileAtomically(folder + "/LICENSE.txt", licence));
    break;
  }
  const std::string mtl_path = WithoutEnding(path) + ".mtl";
  const bool has_mtl = zip.Contains(mtl_path);
  if (has_mtl) {
    MF_ASSIGN_OR_RETURN(const std::string mtl, zip.Read(mtl_path, kMaxTextBytes));
    MF_RETURN_IF_ERROR(
        WriteFileAtomically(absl::StrCat(folder, "/", kModelsFolder, "/", kMtlName), WithoutTextures(mtl)));
  }
  MF_ASSIGN_OR_RETURN(const std::string bytes, zip.Read(path, kMaxObjBytes));
  MF_ASSIGN_OR_RETURN(const UprightObj obj, MakeUpright(bytes, candidate.rotation, has_mtl ? kMtlName : ""));
  return WriteFileAtomically(ObjPath(root, candidate.model), obj.text);
}

absl::Status WriteCatalogue(const std::string& path, const std::vector<Candidate>& candidates) {
  Catalogue catalogue;
  for (const Candidate& candidate : candidates) *catalogue.add_models() = candidate.model;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(catalogue, &json, options);
  if (!status.ok()) return absl::InternalError(absl::StrCat(path, ": ", status.ToString()));
  return WriteFileAtomically(path, json);
}

}  // namespace

absl::StatusOr<ImportFurnitureResult> ImportFurniture(const ImportFurnitureConfig& config) {
  MF_ASSIGN_OR_RETURN(const auto libraries, OpenLibraries(config.library_root()));
  int64_t total = 0;
  for (const auto& library : libraries) total += static_cast<int64_t>(library->entries.size());

  Selection selection(config);
  {
    Progress progress("read", "models", total);
    for (const auto& library : libraries) {
      for (const FurnitureEntry& entry : library->entries) {
        MF_RETURN_IF_ERROR(CheckInterrupt());
        selection.Add(*library, entry);
        progress.Add();
      }
    }
  }
  const std::vector<Candidate> candidates = selection.Finish();
  if (candidates.empty()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s: none of %d models can be taken%s", config.library_root(), total,
        selection.skipped().empty() ? ""
                                    : absl::StrCat(" (the first: ", selection.skipped()[0].reason(), ")")));
  }
  MF_RETURN_IF_ERROR(CheckNoForeignModels(config.out_root(), candidates));

  std::set<std::string> classes;
  Progress progress("write", "models", static_cast<int64_t>(candidates.size()));
  for (const Candidate& candidate : candidates) {
    MF_RETURN_IF_ERROR(CheckInterrupt());
    classes.insert(candidate.model.class_name());
    const bool there = !config.overwrite() && FileExists(ObjPath(config.out_root(), candidate.model));
    if (!there) MF_RETURN_IF_ERROR(WriteModel(config.out_root(), candidate));
    progress.Add(1, there);
  }
  MF_RETURN_IF_ERROR(WriteCatalogue(JoinPath(config.out_root(), "catalogue.json"), candidates));

  ImportFurnitureResult result;
  result.set_models(static_cast<int64_t>(candidates.size()));
  result.set_classes(static_cast<int64_t>(classes.size()));
  result.mutable_skipped()->Assign(selection.skipped().begin(), selection.skipped().end());
  return result;
}

}  // namespace manyform

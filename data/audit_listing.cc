#include "data/audit_listing.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/audit_arrays.h"
#include "data/manifest.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kSuffix = ".npz";

bool Chosen(const AuditConfig& config, const std::string& split) {
  return config.splits().empty() ||
         std::find(config.splits().begin(), config.splits().end(), split) != config.splits().end();
}

bool IsFolder(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

using Keyed = std::map<std::pair<std::string, std::pair<std::string, std::string>>, AuditedShape>;

auto KeyOf(const ShapeEntry& entry) {
  return std::pair(entry.split(), std::pair(entry.class_name(), entry.id()));
}

absl::Status ListFolders(const AuditConfig& config, const std::string& path, AuditedRoot* root,
                         Keyed* shapes) {
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> splits, ListDirectory(path));
  for (const std::string& split : splits) {
    const std::string split_path = JoinPath(path, split);
    if (split[0] == '_' || split[0] == '.' || !Chosen(config, split) || !IsFolder(split_path)) continue;
    MF_ASSIGN_OR_RETURN(const std::vector<std::string> classes, ListDirectory(split_path));
    for (const std::string& class_name : classes) {
      const std::string class_path = JoinPath(split_path, class_name);
      if (class_name[0] == '.' || !IsFolder(class_path)) continue;
      MF_ASSIGN_OR_RETURN(const std::vector<std::string> files, ListDirectory(class_path));
      bool any = false;
      for (const std::string& file : files) {
        if (file[0] == '.' || !absl::EndsWith(file, kSuffix)) continue;
        any = true;
        AuditedShape shape;
        shape.entry.set_split(split);
        shape.entry.set_class_name(class_name);
        shape.entry.set_id(file.substr(0, file.size() - kSuffix.size()));
        std::error_code error;
        shape.there = fs::exists(JoinPath(class_path, file), error);
        shapes->emplace(KeyOf(shape.entry), std::move(shape));
      }
      if (!any) root->empty_classes.emplace_back(split, class_name);
    }
  }
  return absl::OkStatus();
}

void ListManifest(const AuditConfig& config, const CacheManifest& manifest, Keyed* shapes,
                  std::vector<Finding>* findings) {
  for (const ShapeEntry& entry : manifest.shapes()) {
    if (!Chosen(config, entry.split())) continue;
    AuditedShape& shape = (*shapes)[KeyOf(entry)];
    shape.entry = entry;
    shape.listed = true;
  }
  for (const FailedShape& failed : manifest.failed()) {
    if (!Chosen(config, failed.split())) continue;
    Finding finding =
        MakeFinding("failed_shape", "warning", absl::StrCat("was not built: ", failed.reason()));
    finding.set_split(failed.split());
    finding.set_key(absl::StrCat(failed.class_name(), "/", failed.id()));
    finding.set_file(failed.source());
    findings->push_back(std::move(finding));
  }
}

// Materializing counts the records whose source it did not find.
void ReadViewNote(const std::string& path, std::vector<Finding>* findings) {
  const std::string note = JoinPath(path, "_meta/split_source.json");
  const absl::StatusOr<std::string> text = ReadFile(note);
  if (!text.ok()) return;
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("missing") || !json["missing"].is_number_integer()) return;
  const auto missing = json["missing"].get<int64_t>();
  if (missing <= 0) return;
  Finding finding =
      MakeFinding("view_incomplete", "warning",
                  absl::StrCat("sources of ", missing, " shapes were missing when the view was made"),
                  {static_cast<double>(missing)});
  finding.set_file(note);
  findings->push_back(std::move(finding));
}

}  // namespace

absl::StatusOr<AuditedRoot> ListAuditedShapes(const AuditConfig& config, int number,
                                              std::vector<AuditedShape>* shapes) {
  AuditedRoot root;
  root.path = config.cache_root(number);
  if (!IsFolder(root.path)) return absl::NotFoundError(absl::StrCat(root.path, ": no such cache folder"));
  Keyed keyed;
  MF_RETURN_IF_ERROR(ListFolders(config, root.path, &root, &keyed));
  absl::StatusOr<CacheManifest> manifest = ReadManifest(root.path);
  if (manifest.ok()) {
    ListManifest(config, *manifest, &keyed, &root.findings);
    root.manifest = *std::move(manifest);
  } else if (!absl::IsNotFound(manifest.status())) {
    Finding finding = MakeFinding("manifest_damaged", "error", std::string(manifest.status().message()));
    finding.set_file(JoinPath(root.path, kManifestName));
    root.findings.push_back(std::move(finding));
  } else {
    LogLine(absl::StrCat(root.path, " has no ", ToAbsl(kManifestName),
                         ": files are checked by their own checksums"));
  }
  ReadViewNote(root.path, &root.findings);
  if (keyed.empty()) {
    return absl::NotFoundError(
        absl::StrCat(root.path, ": no shapes", config.splits().empty() ? "" : " in the chosen splits"));
  }
  for (Finding& finding : root.findings) finding.set_cache_root(root.path);
  for (auto& [key, shape] : keyed) {
    shape.root = number;
    shape.path = ShapePath(root.path, shape.entry);
    shapes->push_back(std::move(shape));
  }
  return root;
}

Finding At(const AuditedShape& shape, const AuditConfig& config, Finding finding) {
  finding.set_cache_root(config.cache_root(shape.root));
  finding.set_split(shape.entry.split());
  finding.set_key(ShapeKey(shape.entry));
  finding.set_file(shape.path);
  return finding;
}

}  // namespace manyform

#include "data/inspect.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/log.h"
#include "base/png_writer.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/manifest.h"
#include "data/npy.h"
#include "data/shape_picture.h"

namespace manyform {
namespace {

constexpr uint64_t kAlignment = 64;

std::string Number(double value) { return absl::StrFormat("%.6g", value); }

void Summarize(const NpzMember& member, const AuditArray* array, ArraySummary* summary) {
  summary->set_name(member.name);
  summary->set_dtype(DescrOf(member.dtype, member.item_size));
  summary->mutable_shape()->Add(member.shape.begin(), member.shape.end());
  summary->set_compressed(member.compressed);
  if (!member.compressed) summary->set_aligned(member.offset % kAlignment == 0);
  int64_t bytes = member.item_size;
  for (const int64_t side : member.shape) bytes *= side;
  summary->set_bytes(bytes);
  if (array == nullptr || array->values.empty()) return;
  double low = INFINITY, high = -INFINITY, sum = 0;
  int64_t finite = 0;
  for (const float v : array->values) {
    if (!std::isfinite(v)) continue;
    low = std::min<double>(low, v);
    high = std::max<double>(high, v);
    sum += v;
    ++finite;
  }
  summary->set_not_finite(static_cast<int64_t>(array->values.size()) - finite);
  if (finite == 0) return;
  summary->set_min(low);
  summary->set_max(high);
  summary->set_mean(sum / static_cast<double>(finite));
}

std::string ShapeText(const InspectResult& result) {
  std::vector<std::vector<std::string>> rows = {
      {"array", "dtype", "shape", "kept", "bytes", "min", "max", "mean", "not finite"}};
  for (const ArraySummary& a : result.arrays()) {
    const bool range = a.has_mean();
    rows.push_back({a.name(), a.dtype(), absl::StrJoin(a.shape(), " x "),
                    a.compressed() ? "deflated"
                    : a.aligned()  ? "mapped"
                                   : "unaligned",
                    absl::StrCat(a.bytes()), range ? Number(a.min()) : "", range ? Number(a.max()) : "",
                    range ? Number(a.mean()) : "", a.has_not_finite() ? absl::StrCat(a.not_finite()) : ""});
  }
  std::string text =
      absl::StrCat(result.file(), ", ", HumanBytes(result.file_size()), "\n", AlignedTable(rows));
  for (const std::string& remark : result.remarks()) absl::StrAppend(&text, "remark: ", remark, "\n");
  return text;
}

// What a manifest says of a shape beyond its arrays.
std::string EntryText(const ShapeEntry& entry) {
  std::string text;
  if (entry.has_source()) absl::StrAppend(&text, "source: ", entry.source(), "\n");
  if (entry.has_mesh()) {
    const MeshInfo& mesh = entry.mesh();
    absl::StrAppend(&text, "mesh: ", mesh.vertices(), " vertices, ", mesh.faces(), " faces, area ",
                    Number(mesh.area()), ", extents ", absl::StrJoin(mesh.extents(), " x "), ", ",
                    mesh.components(), " components, volume ", Number(mesh.volume()),
                    mesh.watertight() ? ", watertight" : ", not watertight", "\n");
  }
  if (entry.has_scan()) {
    const ScanInfo& scan = entry.scan();
    absl::StrAppend(&text, "scan: ", scan.simulated() ? "simulated, " : "", scan.observed_points(),
                    " points observed", scan.resampled() ? ", drawn with replacement" : "", "\n");
  }
  return text;
}

absl::StatusOr<InspectResult> InspectShape(const InspectConfig& config, const std::string& path,
                                           const CacheManifest* manifest, const ShapeEntry* entry) {
  MF_ASSIGN_OR_RETURN(const NpzReader npz, NpzReader::Open(path));
  const AuditArrays arrays = AuditArrays::Read(npz, /*verify=*/true);
  InspectResult result = SummarizeShape(npz, arrays);
  result.set_file(path);
  if (entry != nullptr) {
    const absl::Status verified = VerifyShapeFile(path, *entry);
    if (!verified.ok()) result.add_remarks(std::string(verified.message()));
    if (LayoutOf(npz).SerializeAsString() != manifest->layouts(entry->layout()).SerializeAsString()) {
      result.add_remarks("its arrays or their places are not the manifest's");
    }
  }
  for (const std::string& damage : arrays.damage()) result.add_remarks(damage);
  std::vector<Finding> findings = CheckArrayValues(arrays);
  for (Finding& finding : CheckFallbacks(arrays, entry != nullptr && entry->has_scan())) {
    findings.push_back(std::move(finding));
  }
  for (const Finding& finding : findings) {
    result.add_remarks(finding.text());
    for (ArraySummary& array : *result.mutable_arrays()) {
      if (absl::StartsWith(finding.text(), array.name() + " ")) array.add_remarks(finding.text());
    }
  }
  printf("%s%s", ShapeText(result).c_str(), entry == nullptr ? "" : EntryText(*entry).c_str());
  if (config.png().empty()) return result;
  MF_ASSIGN_OR_RETURN(const Image picture, PictureOfShape(arrays, {config.size(), config.up_axis()}));
  MF_ASSIGN_OR_RETURN(const std::string png, EncodePng(picture));
  MF_RETURN_IF_ERROR(WriteFileAtomically(config.png(), png));
  return result;
}

std::string ManifestText(const std::string& root, const CacheManifest& manifest,
                         const InspectResult& result) {
  std::set<std::string> splits;
  std::map<std::string, std::map<std::string, int64_t>> classes;
  std::map<std::string, int64_t> totals;
  uint64_t bytes = 0;
  for (const ClassCount& count : result.classes()) {
    splits.insert(count.split());
    classes[count.class_name()][count.split()] = count.shapes();
    totals[count.split()] += count.shapes();
    bytes += count.bytes();
  }
  std::vector<std::vector<std::string>> rows = {{"class"}};
  rows[0].insert(rows[0].end(), splits.begin(), splits.end());
  const auto add = [&](const std::string& name, const std::map<std::string, int64_t>& counts) {
    std::vector<std::string>& row = rows.emplace_back(1, name);
    for (const std::string& split : splits) {
      const auto found = counts.find(split);
      row.push_back(found == counts.end() ? "0" : absl::StrCat(found->second));
    }
  };
  for (const auto& [name, counts] : classes) add(name, counts);
  add("all", totals);
  std::string text = absl::StrCat(root, ": ", manifest.shapes_size(), " shapes, ", HumanBytes(bytes), "\n",
                                  AlignedTable(rows));

  std::vector<int64_t> users(manifest.layouts_size());
  int64_t without_checksum = 0;
  for (const ShapeEntry& shape : manifest.shapes()) {
    ++users[shape.layout()];
    if (!shape.has_checksum()) ++without_checksum;
  }
  for (int i = 0; i < manifest.layouts_size(); ++i) {
    absl::StrAppend(&text, "\nlayout ", i, ", ", users[i], " shapes\n");
    std::vector<std::vector<std::string>> arrays = {{"array", "dtype", "shape", "offset"}};
    for (const ArrayEntry& a : manifest.layouts(i).arrays()) {
      arrays.push_back({a.name(), a.dtype(), absl::StrJoin(a.shape(), " x "),
                        a.compressed() ? "deflated" : absl::StrCat(a.offset())});
    }
    absl::StrAppend(&text, AlignedTable(arrays));
  }
  if (result.simulated() > 0) {
    absl::StrAppend(&text, "\n", result.simulated(), " shapes are simulated scans: nothing was measured\n");
  }
  if (without_checksum > 0) absl::StrAppend(&text, "\n", without_checksum, " shapes have no checksum\n");
  if (manifest.failed_size() > 0) {
    absl::StrAppend(&text, "\n", manifest.failed_size(), " shapes were not built\n");
    std::vector<std::vector<std::string>> failed = {{"shape", "reason"}};
    for (const FailedShape& f : manifest.failed()) {
      failed.push_back({absl::StrCat(f.split(), "/", f.class_name(), "/", f.id()), f.reason()});
    }
    absl::StrAppend(&text, AlignedTable(failed));
  }
  if (!manifest.build_config().empty()) {
    absl::StrAppend(&text, "\nbuilt with\n");
    for (const absl::string_view line : absl::StrSplit(manifest.build_config(), '\n', absl::SkipEmpty())) {
      absl::StrAppend(&text, "  ", line, "\n");
    }
  }
  return text;
}

InspectResult InspectManifest(const std::string& root, const CacheManifest& manifest) {
  InspectResult result;
  result.set_layouts(manifest.layouts_size());
  result.set_failed(manifest.failed_size());
  result.set_build_config(manifest.build_config());
  std::map<std::pair<std::string, std::string>, ClassCount*> counts;
  for (const ShapeEntry& shape : manifest.shapes()) {
    ClassCount*& count = counts[{shape.split(), shape.class_name()}];
    if (count == nullptr) {
      count = result.add_classes();
      count->set_split(shape.split());
      count->set_class_name(shape.class_name());
    }
    count->set_shapes(count->shapes() + 1);
    count->set_bytes(count->bytes() + shape.file_size());
    if (shape.scan().simulated()) result.set_simulated(result.simulated() + 1);
  }
  fputs(ManifestText(root, manifest, result).c_str(), stdout);
  return result;
}

absl::Status CheckOptions(const InspectConfig& config) {
  const bool in_cache = config.has_split() || config.has_key();
  if (config.shape().empty() == config.cache_root().empty()) {
    return absl::InvalidArgumentError("give either shape=FILE.npz or cache_root=FOLDER");
  }
  if (in_cache && (config.cache_root().empty() || config.split().empty() || config.key().empty())) {
    return absl::InvalidArgumentError("a shape of a cache needs cache_root, split and key");
  }
  if (!config.png().empty() && !in_cache && config.shape().empty()) {
    return absl::InvalidArgumentError("png draws one shape: give shape, or split and key");
  }
  if (!config.png().empty() && !absl::EndsWith(config.png(), ".png")) {
    return absl::InvalidArgumentError(absl::StrCat("png: ", config.png(), " does not end in .png"));
  }
  return absl::OkStatus();
}

}  // namespace

InspectResult SummarizeShape(const NpzReader& npz, const AuditArrays& arrays) {
  InspectResult result;
  result.set_file_size(npz.file_size());
  for (const NpzMember& member : npz.members()) {
    Summarize(member, arrays.Find(member.name), result.add_arrays());
  }
  return result;
}

absl::StatusOr<InspectResult> Inspect(const InspectConfig& typed) {
  InspectConfig config = typed;
  FillDefaults(&config);
  MF_RETURN_IF_ERROR(CheckOptions(config));
  if (!config.shape().empty()) return InspectShape(config, config.shape(), nullptr, nullptr);
  MF_ASSIGN_OR_RETURN(const CacheManifest manifest, OpenManifest(config.cache_root()));
  if (config.key().empty()) return InspectManifest(config.cache_root(), manifest);
  for (const ShapeEntry& entry : manifest.shapes()) {
    if (entry.split() != config.split() || ShapeKey(entry) != config.key()) continue;
    return InspectShape(config, ShapePath(config.cache_root(), entry), &manifest, &entry);
  }
  return absl::NotFoundError(
      absl::StrCat(config.cache_root(), ": no shape ", config.key(), " in split ", config.split()));
}

}  // namespace manyform

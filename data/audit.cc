#include "data/audit.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "base/thread_pool.h"
#include "data/audit_arrays.h"
#include "data/audit_collection.h"
#include "data/audit_listing.h"
#include "data/manifest.h"
#include "data/npy.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;

std::string FormOf(const NpzMember& member) {
  return absl::StrCat(DescrOf(member.dtype, member.item_size), " (", absl::StrJoin(member.shape, ", "), ")");
}

// Of names, forms and values: equal however the file is packed.
uint64_t ContentHash(const AuditArrays& arrays, std::span<const std::pair<std::string, std::string>> layout) {
  std::string digest;
  for (const auto& [name, form] : layout) {
    absl::StrAppend(&digest, name, absl::string_view("\0", 1), form, absl::string_view("\0", 1));
    const AuditArray* array = arrays.Find(name);
    if (array == nullptr) continue;
    const auto* bytes = reinterpret_cast<const uint8_t*>(array->values.data());
    absl::StrAppend(&digest, absl::Hex(Xxh3({bytes, array->values.size() * sizeof(float)})), "\n");
  }
  return Xxh3({reinterpret_cast<const uint8_t*>(digest.data()), digest.size()});
}

// Everything one shape's file says; findings stay with the shape.
class ShapeAudit {
 public:
  ShapeAudit(const AuditConfig& config, const AuditedRoot& root, AuditedShape* shape)
      : config_(config), root_(root), shape_(*shape) {}

  void Run() {
    if (!Locate()) return;
    const bool verified = CompareWithManifest();
    const absl::StatusOr<NpzReader> npz = NpzReader::Open(shape_.path);
    if (!npz.ok()) return Add(MakeFinding("damaged_file", "error", std::string(npz.status().message())));
    const AuditArrays arrays = AuditArrays::Read(*npz, /*verify=*/!verified);
    for (const std::string& damage : arrays.damage()) Add(MakeFinding("damaged_file", "error", damage));
    CompareLayout(*npz);
    if (!arrays.damage().empty()) return;
    Describe(*npz, arrays);
    if (IsChecked(config_, "values")) AddAll(CheckArrayValues(arrays));
    if (IsChecked(config_, "fallback")) AddAll(CheckFallbacks(arrays, shape_.entry.has_scan()));
  }

 private:
  void Add(Finding finding) { shape_.findings.push_back(At(shape_, config_, std::move(finding))); }
  void AddAll(std::vector<Finding> findings) {
    for (Finding& finding : findings) Add(std::move(finding));
  }
  void AddSource(absl::string_view kind, const std::string& text, const std::vector<double>& numbers = {}) {
    if (IsChecked(config_, "source")) Add(MakeFinding(kind, "error", text, numbers));
  }

  bool Locate() {
    struct stat info;
    shape_.there = stat(shape_.path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
    if (shape_.there) {
      shape_.file = {info.st_dev, info.st_ino};
      shape_.size = info.st_size;
      if (!shape_.listed && root_.manifest.has_value()) {
        AddSource("unlisted_file", "is not in the manifest: no program sees it");
      }
      return true;
    }
    std::error_code error;
    if (fs::is_symlink(shape_.path, error)) {
      AddSource("dangling_link", absl::StrCat("leads to ", fs::read_symlink(shape_.path, error).string(),
                                              ", which is not there"));
    } else {
      AddSource("missing_file", "is in the manifest and not there");
    }
    return false;
  }

  // Whether the manifest's checksum vouches for every byte.
  bool CompareWithManifest() {
    if (!shape_.listed) return false;
    const ShapeEntry& entry = shape_.entry;
    if (entry.file_size() != shape_.size) {
      AddSource("changed_file",
                absl::StrCat("has ", shape_.size, " bytes, the manifest says ", entry.file_size()),
                {static_cast<double>(shape_.size), static_cast<double>(entry.file_size())});
      return false;
    }
    if (!entry.has_checksum()) return false;
    const absl::Status status = VerifyShapeFile(shape_.path, entry);
    if (!status.ok()) AddSource("changed_file", std::string(status.message()));
    return status.ok();
  }

  void CompareLayout(const NpzReader& npz) {
    if (!shape_.listed || !root_.manifest || shape_.size != shape_.entry.file_size()) return;
    const ArrayLayout expected = root_.manifest->layouts(shape_.entry.layout());
    if (LayoutOf(npz).SerializeAsString() == expected.SerializeAsString()) return;
    AddSource("changed_file", "its arrays or their places are not the manifest's");
  }

  void Describe(const NpzReader& npz, const AuditArrays& arrays) {
    shape_.read = true;
    for (const NpzMember& member : npz.members()) shape_.layout.emplace_back(member.name, FormOf(member));
    std::sort(shape_.layout.begin(), shape_.layout.end());
    shape_.content = ContentHash(arrays, shape_.layout);
    const Eigen::Map<const PointsF> cloud = arrays.Points("pc_xyz");
    if (cloud.rows() == 0) return;
    shape_.cloud = Xxh3({reinterpret_cast<const uint8_t*>(cloud.data()), cloud.size() * sizeof(float)});
    const bool compared = RoleOf(config_, shape_.entry.split()) != SplitRole::kOther;
    if (compared && IsChecked(config_, "duplicate")) shape_.signature = SignatureOf(cloud);
  }

  const AuditConfig& config_;
  const AuditedRoot& root_;
  AuditedShape& shape_;
};

absl::Status CheckRootsDiffer(const AuditConfig& config) {
  std::set<std::string> known;
  for (const std::string& root : config.cache_root()) {
    std::error_code error;
    const fs::path real = fs::canonical(root, error);
    if (error || known.insert(real.string()).second) continue;
    return absl::InvalidArgumentError(absl::StrCat("cache_root ", root, " is given twice"));
  }
  return absl::OkStatus();
}

auto Order(const Finding& f) {
  return std::tie(f.kind(), f.cache_root(), f.split(), f.key(), f.file(), f.text());
}

// Sorts, counts and keeps the first of each kind.
void Fill(std::vector<Finding> findings, int max_per_kind, AuditResult* result) {
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return Order(a) < Order(b); });
  FindingCount* count = nullptr;
  for (Finding& finding : findings) {
    if (count == nullptr || count->kind() != finding.kind()) {
      count = result->add_counts();
      count->set_kind(finding.kind());
      count->set_severity(finding.severity());
    }
    count->set_count(count->count() + 1);
    if (count->count() <= max_per_kind) *result->add_findings() = std::move(finding);
  }
}

template <class Range>
void Append(Range&& from, std::vector<Finding>* to) {
  to->insert(to->end(), from.begin(), from.end());
}

absl::StatusOr<AuditResult> RunAudit(const AuditConfig& config) {
  std::vector<AuditedRoot> roots;
  std::vector<AuditedShape> shapes;
  for (int i = 0; i < config.cache_root_size(); ++i) {
    MF_ASSIGN_OR_RETURN(AuditedRoot root, ListAuditedShapes(config, i, &shapes));
    roots.push_back(std::move(root));
  }
  {
    Progress progress("audit", "shapes", static_cast<int64_t>(shapes.size()));
    MF_RETURN_IF_ERROR(ParallelFor(static_cast<int64_t>(shapes.size()), config.num_threads(), [&](int64_t i) {
      ShapeAudit(config, roots[shapes[i].root], &shapes[i]).Run();
      progress.Add();
      return absl::OkStatus();
    }));
  }
  AuditResult result;
  result.set_shapes(static_cast<int64_t>(shapes.size()));
  std::vector<Finding> findings;
  for (const AuditedRoot& root : roots) {
    if (IsChecked(config, "source")) Append(root.findings, &findings);
  }
  for (const AuditedShape& shape : shapes) {
    result.set_bytes(result.bytes() + static_cast<int64_t>(shape.size));
    Append(shape.findings, &findings);
  }
  if (IsChecked(config, "values")) Append(CheckLayouts(config, shapes), &findings);
  if (IsChecked(config, "balance")) Append(CheckBalance(config, roots, shapes), &findings);
  if (IsChecked(config, "overlap")) Append(CheckOverlap(config, shapes), &findings);
  if (IsChecked(config, "duplicate")) {
    MF_ASSIGN_OR_RETURN(const Duplicates duplicates, FindDuplicates(config, shapes));
    Append(duplicates.findings, &findings);
    result.set_aligned_pairs(duplicates.aligned_pairs);
  }
  Fill(std::move(findings), config.max_per_kind(), &result);
  return result;
}

}  // namespace

std::string FindingsText(const AuditResult& result, int max_shown) {
  if (result.counts().empty()) {
    return absl::StrCat("no findings in ", result.shapes(), " shapes, ", HumanBytes(result.bytes()), "\n");
  }
  std::vector<std::vector<std::string>> rows = {{"kind", "severity", "count"}};
  std::map<std::string, int64_t> counts;
  for (const FindingCount& count : result.counts()) {
    rows.push_back({count.kind(), count.severity(), absl::StrCat(count.count())});
    counts[count.kind()] = count.count();
  }
  std::string text = AlignedTable(rows);
  for (int i = 0; i < result.findings_size();) {
    const std::string& kind = result.findings(i).kind();
    std::vector<std::vector<std::string>> lines = {{kind, ""}};
    int64_t shown = 0;
    for (; i < result.findings_size() && result.findings(i).kind() == kind; ++i) {
      if (shown >= max_shown) continue;
      const Finding& f = result.findings(i);
      // The path as typed says root, split and key in one.
      const std::string where = !f.file().empty() ? f.file()
                                                  : absl::StrCat(JoinPath(f.cache_root(), f.split()),
                                                                 f.key().empty() ? "" : "/", f.key());
      lines.push_back({"  " + where, f.text()});
      ++shown;
    }
    if (shown == 0) continue;
    absl::StrAppend(&text, "\n", AlignedTable(lines));
    if (counts[kind] > shown) absl::StrAppend(&text, "  ... and ", counts[kind] - shown, " more\n");
  }
  return text;
}

absl::StatusOr<AuditResult> Audit(const AuditConfig& typed) {
  AuditConfig config = typed;
  FillDefaults(&config);
  MF_RETURN_IF_ERROR(CheckRootsDiffer(config));
  MF_ASSIGN_OR_RETURN(AuditResult result, RunAudit(config));
  fputs(FindingsText(result, config.max_shown()).c_str(), stdout);
  fflush(stdout);
  return result;
}

}  // namespace manyform

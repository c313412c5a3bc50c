#include <algorithm>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "data/audit_arrays.h"
#include "data/audit_collection.h"
#include "data/npz.h"

namespace manyform {
namespace {

using Shapes = std::vector<const AuditedShape*>;

PointsF ReadCloud(const std::string& path) {
  const absl::StatusOr<NpzReader> npz = NpzReader::Open(path);
  if (!npz.ok()) return PointsF(0, 3);
  const absl::StatusOr<Array> array = npz->Read("pc_xyz");
  if (!array.ok() || array->shape.size() != 2 || array->shape[1] != 3) return PointsF(0, 3);
  const absl::StatusOr<std::vector<float>> values = array->Values<float>();
  if (!values.ok()) return PointsF(0, 3);
  return Eigen::Map<const PointsF>(values->data(), array->shape[0], 3);
}

// What one tested shape has in common with a trained one.
struct Match {
  const AuditedShape* partner = nullptr;
  bool arrays = false, cloud = false;
  SurfaceMatch surface;
  int64_t aligned = 0;
};

Finding Describe(const AuditedShape& tested, const Match& match, const AuditConfig& config) {
  const std::string& other = match.partner->path;
  if (match.arrays) {
    return At(tested, config,
              MakeFinding("same_arrays", "error",
                          absl::StrCat("has every array of ", other, ", which is trained on")));
  }
  if (match.cloud) {
    return At(
        tested, config,
        MakeFinding("same_geometry", "error",
                    absl::StrCat("has the observed points of ", other, ", which is trained on"), {0, 0}));
  }
  return At(tested, config,
            MakeFinding("same_geometry", "error",
                        absl::StrFormat(
                            "is the surface of %s, which is trained on: aligned, points lie %.2f of their "
                            "spacing apart",
                            other, match.surface.spacing),
                        {match.surface.spacing, match.surface.tail}));
}

class DuplicateSearch {
 public:
  DuplicateSearch(const AuditConfig& config, std::span<const AuditedShape> shapes)
      : config_(config), overlap_(IsChecked(config, "overlap")) {
    for (const AuditedShape& shape : shapes) {
      if (!shape.read) continue;
      const SplitRole role = RoleOf(config, shape.entry.split());
      if (role == SplitRole::kEval) tested_.push_back(&shape);
      if (role == SplitRole::kTrain) trained_.push_back(&shape);
    }
    for (const AuditedShape* shape : trained_) {
      by_content_[shape->content].push_back(shape);
      if (shape->cloud != 0) by_cloud_[shape->cloud].push_back(shape);
    }
  }

  absl::StatusOr<Duplicates> Run() {
    std::vector<ShapeSignature> tested, trained;
    for (const AuditedShape* shape : tested_) tested.push_back(shape->signature);
    for (const AuditedShape* shape : trained_) trained.push_back(shape->signature);
    const std::vector<std::pair<int32_t, int32_t>> pairs = LikePairs(tested, trained);
    std::vector<Match> matches(tested_.size());
    MF_RETURN_IF_ERROR(ParallelFor(
        static_cast<int64_t>(tested_.size()), config_.num_threads(), [&](int64_t i) -> absl::Status {
          matches[i] = MatchOf(*tested_[i]);
          if (matches[i].partner != nullptr) return absl::OkStatus();
          const auto first =
              std::lower_bound(pairs.begin(), pairs.end(), std::pair(static_cast<int32_t>(i), -1));
          Align(*tested_[i], i, {first, pairs.end()}, &matches[i]);
          return absl::OkStatus();
        }));
    Duplicates duplicates;
    for (size_t i = 0; i < matches.size(); ++i) {
      duplicates.aligned_pairs += matches[i].aligned;
      if (matches[i].partner == nullptr) continue;
      duplicates.findings.push_back(Describe(*tested_[i], matches[i], config_));
    }
    return duplicates;
  }

 private:
  // Two links to one file are CheckOverlap's, and so are equal files of one root.
  bool IsOverlap(const AuditedShape& a, const AuditedShape& b) const {
    return overlap_ && (a.file == b.file || (a.root == b.root && a.content == b.content));
  }

  const AuditedShape* Partner(const absl::flat_hash_map<uint64_t, Shapes>& groups, uint64_t key,
                              const AuditedShape& shape) const {
    const auto group = groups.find(key);
    if (group == groups.end()) return nullptr;
    for (const AuditedShape* other : group->second) {
      if (!IsOverlap(shape, *other)) return other;
    }
    return nullptr;
  }

  Match MatchOf(const AuditedShape& shape) const {
    Match match;
    match.partner = Partner(by_content_, shape.content, shape);
    match.arrays = match.partner != nullptr;
    if (match.arrays || shape.cloud == 0) return match;
    match.partner = Partner(by_cloud_, shape.cloud, shape);
    match.cloud = match.partner != nullptr;
    return match;
  }

  void Align(const AuditedShape& shape, int64_t number, std::span<const std::pair<int32_t, int32_t>> pairs,
             Match* match) const {
    PointsF cloud;
    for (const auto& [i, j] : pairs) {
      if (i != number) return;
      const AuditedShape& other = *trained_[j];
      if (IsOverlap(shape, other)) continue;
      if (cloud.rows() == 0) cloud = ReadCloud(shape.path);
      ++match->aligned;
      match->surface = CompareSurfaces(cloud, ReadCloud(other.path));
      if (!match->surface.same) continue;
      match->partner = &other;
      return;
    }
  }

  const AuditConfig& config_;
  const bool overlap_;
  Shapes tested_, trained_;
  absl::flat_hash_map<uint64_t, Shapes> by_content_, by_cloud_;
};

}  // namespace

absl::StatusOr<Duplicates> FindDuplicates(const AuditConfig& config, std::span<const AuditedShape> shapes) {
  return DuplicateSearch(config, shapes).Run();
}

}  // namespace manyform

/// \file
/// What only many shapes together can have: classes out of balance, shapes in two splits, the same geometry
/// on both sides of a test.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "data/audit_listing.h"
#include "proto/audit.pb.h"

namespace manyform {

enum class SplitRole { kTrain, kEval, kOther };
/// Whether the config asks for a check by its name.
bool IsChecked(const AuditConfig& config, std::string_view check);
SplitRole RoleOf(const AuditConfig& config, const std::string& split);

/// An array that most shapes of a root have otherwise, or that one lacks or has alone: layout_differs, one a
/// shape.
std::vector<Finding> CheckLayouts(const AuditConfig& config, std::span<const AuditedShape> shapes);

/// Kinds: class_empty (a folder without shapes), class_small, class_imbalance, class_not_trained (tested in
/// one of the roots, trained on in none). Splits are looked at one by one.
std::vector<Finding> CheckBalance(const AuditConfig& config, std::span<const AuditedRoot> roots,
                                  std::span<const AuditedShape> shapes);

/// Kinds: same_file (two splits of a root, or a trained and a tested one anywhere, lead to one file),
/// same_content (to files with equal arrays), same_key (class/id in two splits of one root).
std::vector<Finding> CheckOverlap(const AuditConfig& config, std::span<const AuditedShape> shapes);

struct Duplicates {
  std::vector<Finding> findings;
  int64_t aligned_pairs = 0;
};
/// Tested shapes whose geometry is trained on in another file: same_arrays (all of them), same_geometry
/// (equal observed points, or another sample of the same surface, moved, scaled and turned:
/// duplicate_shapes.h). The first partner found is named. Pairs that CheckOverlap reports are left to it if
/// it is asked for. Clouds are read again from their files for the few pairs that must be aligned. \error
/// Cancelled.
absl::StatusOr<Duplicates> FindDuplicates(const AuditConfig& config, std::span<const AuditedShape> shapes);

}  // namespace manyform

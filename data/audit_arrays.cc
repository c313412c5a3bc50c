#include "data/audit_arrays.h"

#include <algorithm>

#include "base/string_views.h"

namespace manyform {

AuditArrays AuditArrays::Read(const NpzReader& npz, bool verify) {
  AuditArrays arrays;
  for (const NpzMember& member : npz.members()) {
    const absl::StatusOr<Array> array = npz.Read(member.name, verify);
    if (!array.ok()) {
      arrays.damage_.emplace_back(array.status().message());
      continue;
    }
    AuditArray& kept = arrays.arrays_[member.name];
    kept.dtype = member.dtype;
    kept.shape = member.shape;
    if (member.dtype == DType::kUnicode) continue;
    if (absl::StatusOr<std::vector<float>> values = array->Values<float>(); values.ok()) {
      kept.values = *std::move(values);
    }
  }
  return arrays;
}

const AuditArray* AuditArrays::Find(std::string_view name) const {
  const auto found = arrays_.find(std::string(name));
  return found == arrays_.end() ? nullptr : &found->second;
}

Eigen::Map<const PointsF> AuditArrays::Points(std::string_view name) const {
  const AuditArray* array = Find(name);
  if (array == nullptr || array->shape.size() != 2 || array->shape[1] != 3 || array->values.empty()) {
    return {nullptr, 0, 3};
  }
  return {array->values.data(), array->shape[0], 3};
}

Finding MakeFinding(absl::string_view kind, absl::string_view severity, std::string text,
                    const std::vector<double>& numbers) {
  Finding finding;
  finding.set_kind(std::string(kind));
  finding.set_severity(std::string(severity));
  finding.set_text(std::move(text));
  finding.mutable_numbers()->Add(numbers.begin(), numbers.end());
  return finding;
}

}  // namespace manyform

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/string_views.h"
#include "data/audit_arrays.h"

namespace manyform {
namespace {

// What is added in single precision may pass the cube's side by its rounding.
constexpr float kCubeMargin = 1e-4f;
constexpr float kUnitMargin = 1e-3f;

enum class Kind {
  kPlain,
  kCubePoints,
  kPoints,
  kUnit,
  kUnitOrZero,
  kDistance,
  kBinary,
  kOrder,
  kGrid,
  kBinaryGrid
};

struct Rule {
  std::string_view name;
  Kind kind;
  // An array that has as many rows.
  std::string_view like;
};

// Every array a cache can have (shape_arrays.h, migrations).
constexpr Rule kRules[] = {
    {"pc_xyz", Kind::kCubePoints, ""},
    {"pc_n", Kind::kUnitOrZero, "pc_xyz"},
    {"pt_xyz_pool", Kind::kCubePoints, ""},
    {"pt_dist_pool", Kind::kDistance, "pt_xyz_pool"},
    {"pt_dist_pc_pool", Kind::kDistance, "pt_xyz_pool"},
    {"pt_dist_udf_pool", Kind::kDistance, "pt_xyz_pool"},
    {"udf_grid", Kind::kGrid, ""},
    {"occ_grid", Kind::kBinaryGrid, "udf_grid"},
    {"ray_o_pool", Kind::kPoints, ""},
    {"ray_d_pool", Kind::kUnit, "ray_o_pool"},
    {"ray_hit_pool", Kind::kBinary, "ray_o_pool"},
    {"ray_t_pool", Kind::kDistance, "ray_o_pool"},
    {"ray_n_pool", Kind::kUnitOrZero, "ray_o_pool"},
    {"ray_hit_pc_pool", Kind::kBinary, "ray_o_pool"},
    {"ray_t_pc_pool", Kind::kDistance, "ray_o_pool"},
    {"ray_n_pc_pool", Kind::kUnitOrZero, "ray_o_pool"},
};
// Orders name the pool they index.
constexpr Rule kOrders[] = {{"pt_fps_order", Kind::kOrder, "pt_xyz_pool"},
                            {"pc_fps_order", Kind::kOrder, "pc_xyz"}};

bool IsFloat(DType dtype) { return dtype == DType::kF16 || dtype == DType::kF32 || dtype == DType::kF64; }

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("(", absl::StrJoin(shape, ", "), ")");
}

// Counts offenders and remembers the first.
struct Offenders {
  int64_t count = 0, first = -1;
  float value = 0;
  void Look(bool wrong, int64_t i, float v) {
    if (!wrong) return;
    if (count++ == 0) first = i, value = v;
  }
};

class ValueCheck {
 public:
  explicit ValueCheck(const AuditArrays& arrays) : arrays_(arrays) {}

  std::vector<Finding> Run() {
    for (const auto& [name, array] : arrays_.all()) Finite(name, array);
    for (const Rule& rule : kRules) {
      const AuditArray* array = arrays_.Find(rule.name);
      if (array != nullptr && Typed(rule, *array) && Shaped(rule, *array)) Values(rule, *array);
    }
    for (const Rule& rule : kOrders) {
      const AuditArray* array = arrays_.Find(rule.name);
      if (array != nullptr) Order(rule, *array);
    }
    return std::move(findings_);
  }

 private:
  void Report(absl::string_view kind, std::string_view name, absl::string_view text,
              const std::vector<double>& numbers = {}) {
    findings_.push_back(MakeFinding(kind, "error", absl::StrCat(ToAbsl(name), " ", text), numbers));
  }
  void Report(absl::string_view kind, std::string_view name, const Offenders& wrong, absl::string_view what,
              int64_t of) {
    if (wrong.count == 0) return;
    Report(kind, name,
           absl::StrCat(what, " at ", wrong.count, " of ", of, ", first ", wrong.value, " at ", wrong.first),
           {static_cast<double>(wrong.count), static_cast<double>(wrong.first), wrong.value});
  }

  void Finite(const std::string& name, const AuditArray& array) {
    if (!IsFloat(array.dtype)) return;
    Offenders wrong;
    for (size_t i = 0; i < array.values.size(); ++i) {
      wrong.Look(!std::isfinite(array.values[i]), static_cast<int64_t>(i), array.values[i]);
    }
    Report("not_finite", name, wrong, "is not finite", static_cast<int64_t>(array.values.size()));
  }

  bool Typed(const Rule& rule, const AuditArray& array) {
    const bool bits = rule.kind == Kind::kBinary || rule.kind == Kind::kBinaryGrid;
    if (IsFloat(array.dtype) || (bits && (array.dtype == DType::kU8 || array.dtype == DType::kBool)))
      return true;
    Report("wrong_dtype", rule.name, absl::StrCat("is ", DTypeName(array.dtype), ", floats expected"));
    return false;
  }

  bool Shaped(const Rule& rule, const AuditArray& array) {
    const std::vector<int64_t>& shape = array.shape;
    const AuditArray* like = rule.like.empty() ? nullptr : arrays_.Find(rule.like);
    if (like != nullptr && like->shape.empty()) like = nullptr;
    const std::string rows = like == nullptr ? "N" : absl::StrCat(like->shape[0]);
    bool right = false;
    std::string expected;
    switch (rule.kind) {
      case Kind::kCubePoints:
      case Kind::kPoints:
      case Kind::kUnit:
      case Kind::kUnitOrZero:
        right = shape.size() == 2 && shape[1] == 3 && shape[0] > 0 &&
                (like == nullptr || shape[0] == like->shape[0]);
        expected = absl::StrCat("(", rows, ", 3)");
        break;
      case Kind::kGrid:
      case Kind::kBinaryGrid:
        right = shape.size() == 3 && shape[0] == shape[1] && shape[1] == shape[2] && shape[0] > 0 &&
                (like == nullptr || shape == like->shape);
        expected = like == nullptr ? "(G, G, G)" : ShapeText(like->shape);
        break;
      default:
        right = shape.size() == 1 && shape[0] > 0 && (like == nullptr || shape[0] == like->shape[0]);
        expected = absl::StrCat("(", rows, ")");
    }
    if (!right)
      Report("wrong_shape", rule.name, absl::StrCat("has shape ", ShapeText(shape), ", expected ", expected));
    return right;
  }

  // Scans have rays of zeros.
  bool HasRays() const {
    const auto zero = [&](std::string_view name) {
      const AuditArray* array = arrays_.Find(name);
      return array == nullptr ||
             std::all_of(array->values.begin(), array->values.end(), [](float v) { return v == 0; });
    };
    return !zero("ray_o_pool") || !zero("ray_d_pool");
  }

  // Values that are not finite have been reported and are passed over.
  void Values(const Rule& rule, const AuditArray& array) {
    const std::vector<float>& v = array.values;
    const int64_t n = static_cast<int64_t>(v.size());
    Offenders wrong;
    switch (rule.kind) {
      case Kind::kCubePoints:
        for (int64_t i = 0; i < n; ++i)
          wrong.Look(std::isfinite(v[i]) && std::abs(v[i]) > 1 + kCubeMargin, i, v[i]);
        return Report("out_of_cube", rule.name, wrong, "leaves [-1,1]", n);
      case Kind::kDistance:
      case Kind::kGrid:
        for (int64_t i = 0; i < n; ++i) wrong.Look(v[i] < 0, i, v[i]);
        return Report("negative_distance", rule.name, wrong, "is negative", n);
      case Kind::kBinary:
      case Kind::kBinaryGrid:
        for (int64_t i = 0; i < n; ++i) wrong.Look(std::isfinite(v[i]) && v[i] != 0 && v[i] != 1, i, v[i]);
        return Report("not_binary", rule.name, wrong, "is neither 0 nor 1", n);
      case Kind::kUnit:
      case Kind::kUnitOrZero:
        if (rule.kind == Kind::kUnit && !HasRays()) return;
        for (int64_t i = 0; i + 2 < n; i += 3) {
          const float norm = std::sqrt(v[i] * v[i] + v[i + 1] * v[i + 1] + v[i + 2] * v[i + 2]);
          const bool zero = norm == 0 && rule.kind == Kind::kUnitOrZero;
          wrong.Look(std::isfinite(norm) && !zero && std::abs(norm - 1) > kUnitMargin, i / 3, norm);
        }
        return Report("not_unit", rule.name, wrong, "has another length than 1", n / 3);
      default:
        return;
    }
  }

  void Order(const Rule& rule, const AuditArray& array) {
    if (IsFloat(array.dtype) || array.dtype == DType::kBool || array.dtype == DType::kUnicode) {
      return Report("wrong_dtype", rule.name,
                    absl::StrCat("is ", DTypeName(array.dtype), ", integers expected"));
    }
    if (array.shape.size() != 1) {
      return Report("wrong_shape", rule.name,
                    absl::StrCat("has shape ", ShapeText(array.shape), ", expected (K)"));
    }
    const AuditArray* pool = arrays_.Find(rule.like);
    if (pool == nullptr || pool->shape.empty()) return;
    Offenders outside, repeated;
    std::vector<bool> seen(pool->shape[0]);
    for (size_t i = 0; i < array.values.size(); ++i) {
      const float v = array.values[i];
      const bool in = v >= 0 && v < static_cast<float>(pool->shape[0]);
      outside.Look(!in, static_cast<int64_t>(i), v);
      if (!in) continue;
      repeated.Look(seen[static_cast<int64_t>(v)], static_cast<int64_t>(i), v);
      seen[static_cast<int64_t>(v)] = true;
    }
    const int64_t n = static_cast<int64_t>(array.values.size());
    Report("index_out_of_range", rule.name, outside, absl::StrCat("leaves [0,", pool->shape[0], ")"), n);
    Report("repeated_index", rule.name, repeated, "repeats an index", n);
  }

  const AuditArrays& arrays_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> CheckArrayValues(const AuditArrays& arrays) { return ValueCheck(arrays).Run(); }

}  // namespace manyform

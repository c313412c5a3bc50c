#include "data/stl_reader.h"

#include <cstring>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/text_scanner.h"
#include "geometry/mesh.h"

namespace manyform {
namespace {

constexpr size_t kHeader = 80, kCount = 4, kTriangle = 50, kNormal = 12;

// Nine numbers a triangle.
absl::StatusOr<TriangleMesh> MeshOfCorners(const std::vector<double>& values) {
  const Eigen::Index corners = static_cast<Eigen::Index>(values.size()) / 3;
  TriangleMesh mesh{Eigen::Map<const PointsD>(values.data(), corners, 3), Faces(corners / 3, 3)};
  for (Eigen::Index c = 0; c < corners; ++c) mesh.faces(c / 3, c % 3) = static_cast<int32_t>(c);
  return MergeVertices(mesh);
}

class TextParser {
 public:
  TextParser(std::string_view text, const std::string& path) : scan_(text), path_(path) {}

  absl::StatusOr<TriangleMesh> Parse() {
    for (; !scan_.AtEnd(); scan_.NextLine()) MF_RETURN_IF_ERROR(ParseLine());
    if (in_solid_) return Error("the file ends within a solid");
    return MeshOfCorners(values_);
  }

 private:
  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ":", scan_.line(), ": ", what));
  }

  absl::Status ParseLine() {
    const absl::string_view keyword = ToAbsl(scan_.Word());
    const auto is = [&](absl::string_view name) { return absl::EqualsIgnoreCase(keyword, name); };
    if (keyword.empty() || is("outer")) return absl::OkStatus();
    if (is("solid") != is("endsolid") && is("endsolid") != in_solid_) {
      return Error(in_solid_ ? "a solid within a solid" : "endsolid without solid");
    }
    const bool ends_facet = is("facet") || is("endloop") || is("endfacet") || is("endsolid");
    if (ends_facet && values_.size() % 9 != 0) return Error("a facet has three vertices");
    if (is("solid") || is("endsolid")) {
      in_solid_ = is("solid");
      return absl::OkStatus();
    }
    if (!in_solid_) return Error("\"solid\" expected");
    if (is("vertex")) return ParseVertex();
    if (ends_facet) return absl::OkStatus();
    return Error(absl::StrCat("unknown keyword \"", keyword.substr(0, 40), "\""));
  }

  absl::Status ParseVertex() {
    double value = 0;
    for (int k = 0; k < 3; ++k) {
      if (!scan_.Number(&value)) return Error("a vertex needs three numbers");
      values_.push_back(value);
    }
    return absl::OkStatus();
  }

  TextScanner scan_;
  const std::string& path_;
  bool in_solid_ = false;
  std::vector<double> values_;
};

absl::StatusOr<TriangleMesh> ParseBinary(std::span<const uint8_t> bytes, size_t count,
                                         const std::string& path) {
  if (count > INT32_MAX / 3) return absl::InvalidArgumentError(absl::StrCat(path, ": ", count, " triangles"));
  std::vector<double> values(count * 9);
  for (size_t t = 0; t < count; ++t) {
    float corners[9];
    memcpy(corners, bytes.data() + kHeader + kCount + t * kTriangle + kNormal, sizeof(corners));
    for (size_t k = 0; k < 9; ++k) values[t * 9 + k] = static_cast<double>(corners[k]);
  }
  return MeshOfCorners(values);
}

}  // namespace

absl::StatusOr<TriangleMesh> ParseStl(std::span<const uint8_t> bytes, const std::string& path) {
  uint32_t count = 0;
  const bool has_count = bytes.size() >= kHeader + kCount;
  if (has_count) memcpy(&count, bytes.data() + kHeader, sizeof(count));
  const uint64_t size = kHeader + kCount + uint64_t{kTriangle} * count;
  if (has_count && size == bytes.size()) return ParseBinary(bytes, count, path);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  TextScanner start(text);
  while (!start.AtEnd() && start.AtLineEnd()) start.NextLine();
  if (absl::EqualsIgnoreCase(ToAbsl(start.Word()), "solid")) return TextParser(text, path).Parse();
  if (has_count && count > 0 && size < bytes.size()) return ParseBinary(bytes, count, path);
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": ", bytes.size(), " bytes are no STL: neither a text that begins with \"solid\" nor ", count,
      " binary triangles, which have ", size, " bytes"));
}

}  // namespace manyform

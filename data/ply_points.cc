#include "data/ply_points.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "data/ply_format.h"

namespace manyform {
namespace {

constexpr std::array<const char*, 6> kColumns = {"x", "y", "z", "nx", "ny", "nz"};

}  // namespace

absl::StatusOr<PlyVertices> ParsePlyVertices(std::span<const uint8_t> bytes, const std::string& path) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  MF_ASSIGN_OR_RETURN(PlyHeader header, ParsePlyHeader(text, path));
  const auto element = std::find_if(header.elements.begin(), header.elements.end(),
                                    [](const PlyElement& e) { return e.name == "vertex"; });
  if (element == header.elements.end()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": has no element vertex"));
  }
  bool has[kColumns.size()] = {};
  for (PlyProperty& property : element->properties) {
    const auto column = std::find(kColumns.begin(), kColumns.end(), property.name);
    if (property.length || column == kColumns.end()) continue;
    property.column = static_cast<int>(column - kColumns.begin());
    has[property.column] = true;
  }
  if (!has[0] || !has[1] || !has[2]) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the element vertex has no x, y and z"));
  }
  PlyVertices vertices;
  vertices.has_normals = has[3] && has[4] && has[5];
  const int width = vertices.has_normals ? 6 : 3;
  const auto take = [&](int64_t, const double* columns, std::span<const double>) {
    vertices.values.insert(vertices.values.end(), columns, columns + width);
    return absl::OkStatus();
  };
  MF_RETURN_IF_ERROR(VisitPlyRows(header, bytes, path, [&](const PlyElement& e) {
    return &e == &*element ? PlyRowVisitor(take) : PlyRowVisitor();
  }));
  vertices.count = element->count;
  return vertices;
}

}  // namespace manyform

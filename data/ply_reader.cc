#include "data/ply_reader.h"

#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "data/ply_format.h"
#include "data/polygons.h"
#include "geometry/mesh.h"

namespace manyform {
namespace {

constexpr int kNumColumns = 5;

// x y z, then texture coordinates under their usual names.
int ColumnOf(absl::string_view name) {
  constexpr std::pair<absl::string_view, int> kNames[] = {{"x", 0}, {"y", 1},         {"z", 2},
                                                          {"s", 3}, {"t", 4},         {"u", 3},
                                                          {"v", 4}, {"texture_u", 3}, {"texture_v", 4}};
  for (const auto& [known, column] : kNames) {
    if (name == known) return column;
  }
  return -1;
}

class PlyMeshParser {
 public:
  explicit PlyMeshParser(const std::string& path) : path_(path) {}

  absl::StatusOr<TriangleMesh> Parse(std::span<const uint8_t> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    MF_ASSIGN_OR_RETURN(PlyHeader header, ParsePlyHeader(text, path_));
    for (PlyElement& element : header.elements) MF_RETURN_IF_ERROR(Choose(&element));
    MF_RETURN_IF_ERROR(
        VisitPlyRows(header, bytes, path_, [this](const PlyElement& e) { return VisitorOf(e); }));
    MF_RETURN_IF_ERROR(CheckCorners());
    return Assemble();
  }

 private:
  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": ", what));
  }

  // Which properties are read, and where they go.
  absl::Status Choose(PlyElement* element) {
    bool has[kNumColumns] = {}, has_list = false;
    for (PlyProperty& property : element->properties) {
      const bool is_indices = property.name == "vertex_indices" || property.name == "vertex_index";
      if (property.length && is_indices && !has_list) {
        property.column = 0;
        has_list = true;
      }
      if (property.length || element->name != "vertex") continue;
      property.column = ColumnOf(property.name);
      if (property.column < 0) continue;
      has[property.column] = true;
      is_single_[property.column] = property.type == PlyType::kF32;
    }
    if (element->name == "vertex") {
      if (!has[0] || !has[1] || !has[2]) return Error("the element vertex has no x, y and z");
      has_uv_ = has[3] && has[4];
    } else if (IsFaces(*element) && element->count > 0 && !has_list) {
      return Error(absl::StrCat("the element ", element->name, " has no list vertex_indices"));
    }
    return absl::OkStatus();
  }

  static bool IsFaces(const PlyElement& element) {
    return element.name == "face" || element.name == "tristrips";
  }

  PlyRowVisitor VisitorOf(const PlyElement& element) {
    if (element.name == "vertex") {
      return [this](int64_t, const double* columns, std::span<const double>) {
        for (int k = 0; k < kNumColumns; ++k) {
          // Text says more digits than a float has; the binary twin of a file has the same vertices.
          values_.push_back(is_single_[k] ? static_cast<double>(static_cast<float>(columns[k])) : columns[k]);
        }
        return absl::OkStatus();
      };
    }
    if (element.name == "face") {
      return [this](int64_t, const double*, std::span<const double> list) { return AddFace(list); };
    }
    if (element.name == "tristrips") {
      return [this](int64_t, const double*, std::span<const double> list) { return AddStrip(list); };
    }
    return nullptr;
  }

  absl::Status AddFace(std::span<const double> list) {
    sizes_.push_back(static_cast<int32_t>(list.size()));
    for (const double index : list) {
      // Whether there is such a vertex is known at the end: faces may come first.
      if (!(index >= 0 && index < 2147483647.0 &&
            index == static_cast<double>(static_cast<int32_t>(index)))) {
        return Error(absl::StrCat("face ", sizes_.size() - 1, " refers to vertex ", index));
      }
      corners_.push_back(static_cast<int32_t>(index));
    }
    return absl::OkStatus();
  }

  // Each vertex makes a triangle with the two before it, turned around every other time; -1 starts anew.
  absl::Status AddStrip(std::span<const double> list) {
    size_t start = 0;
    for (size_t i = 0; i < list.size(); ++i) {
      if (list[i] == -1) start = i + 1;
      if (i < start + 2) continue;
      const bool turned = (i - start) % 2 != 0;
      const double triangle[3] = {list[turned ? i - 1 : i - 2], list[turned ? i - 2 : i - 1], list[i]};
      MF_RETURN_IF_ERROR(AddFace(triangle));
    }
    return absl::OkStatus();
  }

  absl::Status CheckCorners() const {
    const int64_t vertices = static_cast<int64_t>(values_.size()) / kNumColumns;
    size_t corner = 0;
    for (size_t f = 0; f < sizes_.size(); ++f) {
      for (int32_t k = 0; k < sizes_[f]; ++k, ++corner) {
        if (corners_[corner] < vertices) continue;
        return Error(absl::StrCat("face ", f, " refers to vertex ", corners_[corner], "; the file has ",
                                  vertices, ", counted from 0"));
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<TriangleMesh> Assemble() const {
    const std::vector<int64_t> order = Triangulate(sizes_, TriangleOrder::kBySize);
    const Eigen::Index vertices = static_cast<Eigen::Index>(values_.size()) / kNumColumns;
    TriangleMesh mesh{PointsD(vertices, 3), Faces(order.size() / 3, 3)};
    UvD uv(has_uv_ ? vertices : 0, 2);
    for (Eigen::Index v = 0; v < vertices; ++v) {
      const double* row = values_.data() + v * kNumColumns;
      mesh.vertices.row(v) << row[0], row[1], row[2];
      if (has_uv_) uv.row(v) << row[3], row[4];
    }
    for (size_t i = 0; i < order.size(); ++i) mesh.faces(i / 3, i % 3) = corners_[order[i]];
    return MergeVertices(mesh, has_uv_ ? &uv : nullptr);
  }

  const std::string& path_;
  bool has_uv_ = false;
  bool is_single_[kNumColumns] = {};
  std::vector<double> values_;  // kNumColumns a vertex
  std::vector<int32_t> sizes_, corners_;
};

}  // namespace

absl::StatusOr<TriangleMesh> ParsePly(std::span<const uint8_t> bytes, const std::string& path) {
  return PlyMeshParser(path).Parse(bytes);
}

}  // namespace manyform

#include "data/off_reader.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/polygons.h"
#include "data/text_scanner.h"
#include "geometry/mesh.h"

namespace manyform {
namespace {

class OffParser {
 public:
  OffParser(std::string_view text, std::string_view path) : scan_(text), path_(path) {}

  absl::StatusOr<TriangleMesh> Parse() {
    MF_RETURN_IF_ERROR(ParseHeader());
    MF_RETURN_IF_ERROR(ParseVertices());
    MF_RETURN_IF_ERROR(ParseFaces());
    const std::vector<int64_t> order = Triangulate(sizes_, TriangleOrder::kBySize);
    mesh_.faces.resize(order.size() / 3, 3);
    for (size_t i = 0; i < order.size(); ++i) mesh_.faces(i / 3, i % 3) = corners_[order[i]];
    return MergeVertices(mesh_);
  }

 private:
  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(ToAbsl(path_), ":", scan_.line(), ": ", what));
  }

  // To the next line that holds something; false at the end of the file.
  bool NextContent() {
    while (scan_.AtLineEnd()) {
      if (scan_.AtEnd()) return false;
      scan_.NextLine();
    }
    return true;
  }

  absl::Status ParseHeader() {
    for (const char letter : {'S', 'T', 'C', 'N'}) {
      if (NextContent()) scan_.Eat(letter);
    }
    if (!scan_.Eat('O') || !scan_.Eat('F') || !scan_.Eat('F')) return Error("\"OFF\" expected");
    int32_t counts[2] = {0, 0};
    for (int32_t& count : counts) {
      if (!NextContent() || !scan_.Integer(&count) || !scan_.AtTokenEnd() || count < 0) {
        return Error("numbers of vertices and faces expected");
      }
    }
    scan_.NextLine();
    // The shortest vertex is "0 0 0\n", the shortest face "0\n"; the last line's end may be missing.
    const int64_t least = int64_t{6} * counts[0] + int64_t{2} * counts[1] - 1;
    if (least > scan_.bytes_left()) {
      return Error(absl::StrCat("the file ends before ", counts[0], " vertices and ", counts[1], " faces"));
    }
    mesh_.vertices.resize(counts[0], 3);
    sizes_.reserve(counts[1]);
    corners_.reserve(int64_t{3} * counts[1]);
    num_faces_ = counts[1];
    return absl::OkStatus();
  }

  absl::Status ParseVertices() {
    for (Eigen::Index v = 0; v < mesh_.vertices.rows(); ++v) {
      if (!NextContent()) {
        return Error(absl::StrCat("the file ends after ", v, " of ", mesh_.vertices.rows(), " vertices"));
      }
      for (int k = 0; k < 3; ++k) {
        if (!scan_.Number(&mesh_.vertices(v, k))) return Error("a vertex needs three numbers");
      }
      scan_.NextLine();
    }
    return absl::OkStatus();
  }

  absl::Status ParseFaces() {
    for (int32_t f = 0; f < num_faces_; ++f) {
      if (!NextContent()) {
        return Error(absl::StrCat("the file ends after ", f, " of ", num_faces_, " faces"));
      }
      int32_t size = 0;
      if (!scan_.Integer(&size) || !scan_.AtTokenEnd() || size < 0) {
        return Error("a face starts with its number of corners");
      }
      for (int32_t k = 0; k < size; ++k) {
        int32_t vertex = 0;
        if (scan_.AtLineEnd() || !scan_.Integer(&vertex) || !scan_.AtTokenEnd()) {
          return Error(absl::StrCat("a face of ", size, " corners needs as many vertex indices"));
        }
        if (vertex < 0 || vertex >= mesh_.vertices.rows()) {
          return Error(absl::StrCat("face refers to vertex ", vertex, "; the file has ",
                                    mesh_.vertices.rows(), ", counted from 0"));
        }
        corners_.push_back(vertex);
      }
      sizes_.push_back(size);
      scan_.NextLine();
    }
    return absl::OkStatus();
  }

  TextScanner scan_;
  const std::string_view path_;
  TriangleMesh mesh_;
  int32_t num_faces_ = 0;
  std::vector<int32_t> sizes_, corners_;
};

}  // namespace

absl::StatusOr<TriangleMesh> ParseOff(std::string_view text, std::string_view path) {
  return OffParser(text, path).Parse();
}

}  // namespace manyform

#include "data/obj_reader.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/polygons.h"
#include "data/text_scanner.h"
#include "geometry/mesh.h"

namespace manyform {
namespace {

constexpr int32_t kNone = -1;

// The faces of one material.
struct Chunk {
  std::vector<int32_t> sizes;    // corners a face
  std::vector<int32_t> vertex;   // a corner
  std::vector<int32_t> texture;  // a corner; kNone where there is none
  // Corners and numbers a line are the same throughout: the published loader reads such chunks in another way
  // than mixed ones, with another order of quads.
  bool uniform = true;
  int64_t numbers = 0;  // of the first line
};

// One corner of a face: v, v/t, v//n or v/t/n.
struct Corner {
  int32_t vertex = 0, texture = 0;
  int numbers = 1;
};

class ObjParser {
 public:
  ObjParser(std::string_view text, std::string_view path) : scan_(text), path_(path) {
    const size_t guess = text.size() / 64;
    positions_.reserve(3 * guess);
  }

  absl::StatusOr<TriangleMesh> Parse() {
    while (!scan_.AtEnd()) {
      MF_RETURN_IF_ERROR(ParseLine());
      scan_.NextLine();
    }
    if (largest_vertex_ >= vertices()) {
      return Error(largest_line_, absl::StrCat("face refers to vertex ", largest_vertex_ + 1,
                                               ", but the file has ", vertices()));
    }
    std::vector<TriangleMesh> meshes;
    for (size_t i = chunks_.size(); i-- > 0;) {
      MF_ASSIGN_OR_RETURN(TriangleMesh mesh, MeshOf(chunks_[i]));
      meshes.push_back(std::move(mesh));
    }
    return meshes.size() == 1 ? std::move(meshes[0]) : ConcatenateMeshes(meshes);
  }

 private:
  int64_t vertices() const { return static_cast<int64_t>(positions_.size() / 3); }

  absl::Status Error(int64_t line, absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(ToAbsl(path_), ":", line, ": ", what));
  }

  absl::Status ParseLine() {
    const std::string_view keyword = scan_.Word();
    if (keyword == "v") return ParseVertex();
    if (keyword == "f" || keyword == "fo") return ParseFace();
    if (keyword == "vt") {
      ParseTexture();
    } else if (keyword == "usemtl") {
      material_ = std::string(scan_.RestOfLine());
      chunk_ = nullptr;
    }
    return absl::OkStatus();
  }

  absl::Status ParseVertex() {
    double xyz[3];
    for (double& x : xyz) {
      if (!scan_.Number(&x)) return Error(scan_.line(), "a vertex needs three numbers");
    }
    if (vertices() == std::numeric_limits<int32_t>::max()) return Error(scan_.line(), "too many vertices");
    positions_.insert(positions_.end(), xyz, xyz + 3);
    return absl::OkStatus();
  }

  void ParseTexture() {
    double uv[2] = {0, 0};
    for (double& x : uv) {
      if (!scan_.Number(&x)) break;
    }
    textures_.insert(textures_.end(), uv, uv + 2);
  }

  // Turns a one-based or negative index into a zero-based one that is not negative.
  absl::Status Resolve(int64_t count, int32_t* index) const {
    if (*index == 0) return Error(scan_.line(), "face index 0; indices count from 1");
    const int64_t resolved = *index > 0 ? int64_t{*index} - 1 : count + *index;
    if (resolved < 0) {
      return Error(scan_.line(), absl::StrCat("face index ", *index, ", but only ", count, " came before"));
    }
    *index = static_cast<int32_t>(resolved);
    return absl::OkStatus();
  }

  absl::StatusOr<Corner> ParseCorner() {
    Corner corner{.texture = kNone};
    if (!scan_.Integer(&corner.vertex)) return Error(scan_.line(), "a face needs vertex indices");
    MF_RETURN_IF_ERROR(Resolve(vertices(), &corner.vertex));
    if (scan_.Eat('/')) {
      if (scan_.Integer(&corner.texture)) {
        ++corner.numbers;
        MF_RETURN_IF_ERROR(Resolve(static_cast<int64_t>(textures_.size() / 2), &corner.texture));
      }
      int32_t normal = 0;
      if (scan_.Eat('/') && scan_.Integer(&normal)) ++corner.numbers;
    }
    if (!scan_.AtTokenEnd()) return Error(scan_.line(), "malformed face; v, v/t, v//n or v/t/n expected");
    return corner;
  }

  absl::Status ParseFace() {
    if (chunk_ == nullptr) {
      const auto [it, is_new] = chunk_of_.try_emplace(material_, chunks_.size());
      if (is_new) chunks_.emplace_back();
      chunk_ = &chunks_[it->second];
    }
    int32_t size = 0;
    int64_t numbers = 0;
    for (; !scan_.AtLineEnd(); ++size) {
      MF_ASSIGN_OR_RETURN(const Corner corner, ParseCorner());
      chunk_->vertex.push_back(corner.vertex);
      chunk_->texture.push_back(corner.texture);
      numbers += corner.numbers;
      if (corner.vertex > largest_vertex_) {
        largest_vertex_ = corner.vertex;
        largest_line_ = scan_.line();
      }
    }
    if (chunk_->sizes.empty()) chunk_->numbers = numbers;
    chunk_->sizes.push_back(size);
    chunk_->uniform &= numbers == chunk_->numbers && size == chunk_->sizes[0];
    return absl::OkStatus();
  }

  absl::StatusOr<TriangleMesh> MeshOf(const Chunk& chunk) const {
    const std::vector<int64_t> corners =
        Triangulate(chunk.sizes, chunk.uniform ? TriangleOrder::kBySize : TriangleOrder::kInPlace);
    const int64_t textures = static_cast<int64_t>(textures_.size() / 2);
    const bool textured = std::all_of(chunk.texture.begin(), chunk.texture.end(),
                                      [&](int32_t t) { return t != kNone && t < textures; });
    // A vertex for each pair of position and texture coordinate that occurs, sorted: only those this chunk
    // uses, so that a file of many materials is not copied for each.
    std::vector<uint64_t> pair(corners.size());
    for (size_t i = 0; i < corners.size(); ++i) {
      const uint32_t texture = textured ? chunk.texture[corners[i]] : 0;
      pair[i] = uint64_t{static_cast<uint32_t>(chunk.vertex[corners[i]])} << 32 | texture;
    }
    std::vector<uint64_t> pairs = pair;
    std::sort(pairs.begin(), pairs.end());
    pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
    TriangleMesh mesh{PointsD(pairs.size(), 3), Faces(corners.size() / 3, 3)};
    UvD uv(textured ? pairs.size() : 0, 2);
    for (size_t i = 0; i < pairs.size(); ++i) {
      mesh.vertices.row(i) = Position(static_cast<int32_t>(pairs[i] >> 32));
      const size_t t = 2 * static_cast<uint32_t>(pairs[i]);
      if (textured) uv.row(i) << textures_[t], textures_[t + 1];
    }
    for (size_t i = 0; i < corners.size(); ++i) {
      const auto place = std::lower_bound(pairs.begin(), pairs.end(), pair[i]);
      mesh.faces(i / 3, i % 3) = static_cast<int32_t>(place - pairs.begin());
    }
    return MergeVertices(mesh, textured ? &uv : nullptr);
  }

  Eigen::RowVector3d Position(int32_t v) const {
    return Eigen::Map<const Eigen::RowVector3d>(positions_.data() + 3 * int64_t{v});
  }

  TextScanner scan_;
  const std::string_view path_;
  std::vector<double> positions_, textures_;
  absl::flat_hash_map<std::string, size_t> chunk_of_;
  std::vector<Chunk> chunks_;
  std::string material_;
  Chunk* chunk_ = nullptr;
  int64_t largest_vertex_ = kNone, largest_line_ = 0;
};

}  // namespace

absl::StatusOr<TriangleMesh> ParseObj(std::string_view text, std::string_view path) {
  return ObjParser(text, path).Parse();
}

}  // namespace manyform

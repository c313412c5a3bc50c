#include "data/obj_reader.h"

#include <algorithm>
#include <array>
#include <bit>
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

// A vertex as faces name it.
struct VertexPair {
  int32_t vertex = 0, texture = 0;
  uint64_t key() const {
    return uint64_t{static_cast<uint32_t>(vertex)} << 32 | static_cast<uint32_t>(texture);
  }
};

// Numbers different pairs as they come, then sorts them.
class PairNumbers {
 public:
  int32_t Add(const VertexPair& pair) {
    if (2 * pairs_.size() >= slots_.size()) Grow();
    size_t at = Slot(pair);
    for (; slots_[at] != kNone; at = (at + 1) & (slots_.size() - 1)) {
      if (pairs_[slots_[at]].key() == pair.key()) return slots_[at];
    }
    slots_[at] = static_cast<int32_t>(pairs_.size());
    pairs_.push_back(pair);
    return slots_[at];
  }
  // By vertex, then texture; rank[n] is the new number of pair n.
  std::vector<VertexPair> Sorted(std::vector<int32_t>* rank) const;

 private:
  size_t Slot(const VertexPair& pair) const { return pair.key() * 0x9e3779b97f4a7c15 >> shift_; }
  void Grow() {
    slots_.assign(std::max<size_t>(1024, 4 * slots_.size()), kNone);
    shift_ = 64 - std::countr_zero(slots_.size());
    for (size_t n = 0; n < pairs_.size(); ++n) {
      size_t at = Slot(pairs_[n]);
      while (slots_[at] != kNone) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = static_cast<int32_t>(n);
    }
  }

  std::vector<VertexPair> pairs_;
  int shift_ = 0;
  std::vector<int32_t> slots_;  // a power of two of them, at most half full; kNone is empty
};

std::vector<VertexPair> PairNumbers::Sorted(std::vector<int32_t>* rank) const {
  struct Keyed {
    uint64_t key;
    int32_t number;
  };
  uint64_t all_bits = 0;
  std::vector<Keyed> from(pairs_.size()), to(pairs_.size());
  for (size_t n = 0; n < pairs_.size(); ++n) {
    from[n] = {pairs_[n].key(), static_cast<int32_t>(n)};
    all_bits |= from[n].key;
  }
  constexpr size_t kFew = 512;
  constexpr int kBits = 11, kDigits = 1 << kBits;
  if (from.size() < kFew) {
    std::sort(from.begin(), from.end(), [](const Keyed& a, const Keyed& b) { return a.key < b.key; });
    all_bits = 0;
  }
  // Counting sort by eleven bits at a time, least significant first; digits that are zero throughout do not
  // move anything.
  for (int shift = 0; shift < 64; shift += kBits) {
    if ((all_bits >> shift & (kDigits - 1)) == 0) continue;
    std::array<uint32_t, kDigits + 1> start{};
    for (const Keyed& k : from) ++start[(k.key >> shift & (kDigits - 1)) + 1];
    for (int d = 1; d <= kDigits; ++d) start[d] += start[d - 1];
    for (const Keyed& k : from) to[start[k.key >> shift & (kDigits - 1)]++] = k;
    std::swap(from, to);
  }
  rank->resize(from.size());
  std::vector<VertexPair> sorted(from.size());
  for (size_t i = 0; i < from.size(); ++i) {
    sorted[i] = pairs_[from[i].number];
    (*rank)[from[i].number] = static_cast<int32_t>(i);
  }
  return sorted;
}

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
    std::vector<int32_t> number;
    const std::vector<VertexPair> pairs = NumberPairs(chunk, corners, textured, &number);
    TriangleMesh mesh{PointsD(pairs.size(), 3), Faces(corners.size() / 3, 3)};
    UvD uv(textured ? pairs.size() : 0, 2);
    for (size_t i = 0; i < pairs.size(); ++i) {
      mesh.vertices.row(i) = Position(pairs[i].vertex);
      const size_t t = 2 * static_cast<size_t>(pairs[i].texture);
      if (textured) uv.row(i) << textures_[t], textures_[t + 1];
    }
    std::copy(number.begin(), number.end(), mesh.faces.data());
    return MergeVertices(mesh, textured ? &uv : nullptr);
  }

  // A vertex for each pair of position and texture coordinate that occurs, sorted: only those this chunk
  // uses, so that a file of many materials is not copied for each. `number` says which of them each corner
  // is.
  std::vector<VertexPair> NumberPairs(const Chunk& chunk, const std::vector<int64_t>& corners, bool textured,
                                      std::vector<int32_t>* number) const {
    const auto pair_of = [&](int64_t corner) {
      return VertexPair{chunk.vertex[corner], textured ? chunk.texture[corner] : 0};
    };
    PairNumbers numbers;
    number->resize(corners.size());
    for (size_t i = 0; i < corners.size(); ++i) (*number)[i] = numbers.Add(pair_of(corners[i]));
    std::vector<int32_t> rank;
    std::vector<VertexPair> pairs = numbers.Sorted(&rank);
    for (int32_t& n : *number) n = rank[n];
    return pairs;
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

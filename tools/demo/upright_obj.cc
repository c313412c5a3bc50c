#include "tools/demo/upright_obj.h"

#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/hash.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

using Triple = std::array<double, 3>;

absl::string_view TakeWord(absl::string_view* rest) {
  *rest = absl::StripLeadingAsciiWhitespace(*rest);
  const size_t end = std::min(rest->find_first_of(" \t"), rest->size());
  const absl::string_view word = rest->substr(0, end);
  rest->remove_prefix(end);
  return word;
}

/// The three numbers at the head of `rest`; what is behind them (weights, colours) is left there.
bool TakeTriple(absl::string_view* rest, Triple* triple) {
  for (double& value : *triple) {
    if (!absl::SimpleAtod(TakeWord(rest), &value) || !std::isfinite(value)) return false;
  }
  return true;
}

Triple Rotate(const Rotation& r, const Triple& p) {
  Triple q;
  for (int i = 0; i < 3; ++i) q[i] = r[3 * i] * p[0] + r[3 * i + 1] * p[1] + r[3 * i + 2] * p[2];
  return q;
}

/// "f 1/2/3 4//5" -> "f 1 4".
void AppendPositionsOfFace(absl::string_view rest, std::string* geometry) {
  geometry->push_back('f');
  for (absl::string_view word = TakeWord(&rest); !word.empty(); word = TakeWord(&rest)) {
    absl::StrAppend(geometry, " ", word.substr(0, word.find('/')));
  }
  geometry->push_back('\n');
}

}  // namespace

absl::StatusOr<Rotation> ParseRotation(absl::string_view text) {
  Rotation r = kNoRotation;
  absl::string_view rest = text;
  if (absl::StripAsciiWhitespace(rest).empty()) return r;
  bool good = true;
  for (double& value : r) good = good && absl::SimpleAtod(TakeWord(&rest), &value) && std::isfinite(value);
  good = good && absl::StripAsciiWhitespace(rest).empty();
  for (int i = 0; good && i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      const double dot = r[3 * i] * r[3 * j] + r[3 * i + 1] * r[3 * j + 1] + r[3 * i + 2] * r[3 * j + 2];
      good = good && std::abs(dot - (i == j)) < 1e-3;
    }
  }
  const double determinant = r[0] * (r[4] * r[8] - r[5] * r[7]) - r[1] * (r[3] * r[8] - r[5] * r[6]) +
                             r[2] * (r[3] * r[7] - r[4] * r[6]);
  // A mirror image would turn its faces inside out.
  if (good && determinant > 0) return r;
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not the nine numbers of a rotation"));
}

absl::StatusOr<UprightObj> MakeUpright(absl::string_view obj, const Rotation& rotation,
                                       absl::string_view mtllib) {
  UprightObj out;
  out.text.reserve(obj.size() + obj.size() / 8);
  std::string geometry;
  geometry.reserve(obj.size());
  int64_t number = 0;
  for (absl::string_view line : absl::StrSplit(obj, '\n')) {
    ++number;
    while (absl::EndsWith(line, "\r")) line.remove_suffix(1);
    absl::string_view rest = line;
    const absl::string_view word = TakeWord(&rest);
    if (word == "mtllib") continue;
    if (word == "v" || word == "vn") {
      Triple p;
      if (!TakeTriple(&rest, &p)) {
        return absl::InvalidArgumentError(
            absl::StrFormat("line %d: %s is not followed by three finite numbers", number, word));
      }
      const size_t start = out.text.size();
      if (rotation != kNoRotation) {
        p = Rotate(rotation, p);
        absl::StrAppendFormat(&out.text, "%s %.9g %.9g %.9g%s\n", word, p[0], p[1], p[2], rest);
      } else {
        absl::StrAppend(&out.text, line, "\n");
      }
      if (word == "v") {
        ++out.vertices;
        geometry.append(out.text, start);
      }
      continue;
    }
    if (word == "f") {
      ++out.faces;
      AppendPositionsOfFace(rest, &geometry);
    }
    // The text behind the last line end is no line.
    if (line.data() + line.size() != obj.data() + obj.size() || !line.empty()) {
      absl::StrAppend(&out.text, line, "\n");
    }
  }
  if (!mtllib.empty()) out.text.insert(0, absl::StrCat("mtllib ", mtllib, "\n"));
  out.geometry_hash = Sha256Hex(geometry);
  return out;
}

}  // namespace manyform

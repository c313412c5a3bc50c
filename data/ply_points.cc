#include "data/ply_points.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/text_scanner.h"

namespace manyform {
namespace {

enum class Format { kAscii, kLittle, kBig };
enum class Scalar { kI8, kU8, kI16, kU16, kI32, kU32, kF32, kF64 };

struct TypeName {
  const char* name;
  Scalar scalar;
};
constexpr TypeName kTypes[] = {
    {"char", Scalar::kI8},   {"int8", Scalar::kI8},     {"uchar", Scalar::kU8},   {"uint8", Scalar::kU8},
    {"short", Scalar::kI16}, {"int16", Scalar::kI16},   {"ushort", Scalar::kU16}, {"uint16", Scalar::kU16},
    {"int", Scalar::kI32},   {"int32", Scalar::kI32},   {"uint", Scalar::kU32},   {"uint32", Scalar::kU32},
    {"float", Scalar::kF32}, {"float32", Scalar::kF32}, {"double", Scalar::kF64}, {"float64", Scalar::kF64}};
constexpr uint64_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 8};
constexpr std::array<const char*, 6> kColumns = {"x", "y", "z", "nx", "ny", "nz"};

std::optional<Scalar> ParseType(absl::string_view name) {
  for (const TypeName& type : kTypes) {
    if (name == type.name) return type.scalar;
  }
  return std::nullopt;
}

struct Property {
  Scalar type = Scalar::kF32;
  std::optional<Scalar> length;  // of a list
  int column = -1;               // in kColumns
};

struct Element {
  std::string name;
  int64_t count = 0;
  std::vector<Property> properties;

  // Bytes a row has at least.
  uint64_t LeastSize(Format format) const {
    uint64_t size = format == Format::kAscii ? 1 : 0;
    for (const Property& p : properties) {
      // In text a number and what parts it from the next.
      const Scalar first = p.length.value_or(p.type);
      size += format == Format::kAscii ? 2 : kSizes[static_cast<int>(first)];
    }
    return size;
  }
};

struct Header {
  Format format = Format::kAscii;
  std::vector<Element> elements;
  size_t size = 0;
  int64_t lines = 0;
};

class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  absl::StatusOr<Header> Parse() {
    if (NextLine() != "ply") return Error("\"ply\" expected");
    bool has_format = false;
    while (header_.size < text_.size()) {
      const absl::string_view line = NextLine();
      const std::vector<absl::string_view> words =
          absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
      if (words.empty() || words[0] == "comment" || words[0] == "obj_info") continue;
      if (words[0] == "end_header") {
        return has_format ? absl::StatusOr<Header>(std::move(header_)) : Error("the format is missing");
      }
      if (words[0] == "format") {
        MF_RETURN_IF_ERROR(ParseFormat(words));
        has_format = true;
      } else if (words[0] == "element") {
        MF_RETURN_IF_ERROR(ParseElement(words));
      } else if (words[0] == "property") {
        MF_RETURN_IF_ERROR(ParseProperty(words));
      } else {
        return Error(absl::StrCat("unknown keyword \"", words[0].substr(0, 40), "\""));
      }
    }
    return Error("the header does not end");
  }

 private:
  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ":", header_.lines, ": ", what));
  }
  absl::string_view NextLine() {
    const size_t start = header_.size, end = text_.find('\n', start);
    header_.size = end == std::string_view::npos ? text_.size() : end + 1;
    ++header_.lines;
    absl::string_view line = ToAbsl(text_.substr(start, std::min(end, text_.size()) - start));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return line;
  }
  absl::Status ParseFormat(const std::vector<absl::string_view>& words) {
    const absl::string_view name = words.size() > 1 ? words[1] : "";
    if (name != "ascii" && name != "binary_little_endian" && name != "binary_big_endian") {
      return Error("the format is to be ascii, binary_little_endian or binary_big_endian");
    }
    header_.format = name == "ascii"                  ? Format::kAscii
                     : name == "binary_little_endian" ? Format::kLittle
                                                      : Format::kBig;
    return absl::OkStatus();
  }
  absl::Status ParseElement(const std::vector<absl::string_view>& words) {
    Element element;
    if (words.size() != 3 || !absl::SimpleAtoi(words[2], &element.count) || element.count < 0) {
      return Error("an element needs a name and a count");
    }
    element.name = std::string(words[1]);
    header_.elements.push_back(std::move(element));
    return absl::OkStatus();
  }
  absl::Status ParseProperty(const std::vector<absl::string_view>& words) {
    if (header_.elements.empty()) return Error("a property without element");
    Element& element = header_.elements.back();
    Property property;
    const bool is_list = words.size() == 5 && words[1] == "list";
    if (is_list) property.length = ParseType(words[2]);
    if ((!is_list && words.size() != 3) || (is_list && !property.length)) {
      return Error("a property needs a type and a name");
    }
    const std::optional<Scalar> type = ParseType(words[words.size() - 2]);
    if (!type) return Error(absl::StrCat("unknown type \"", words[words.size() - 2].substr(0, 40), "\""));
    property.type = *type;
    const auto column = std::find(kColumns.begin(), kColumns.end(), words.back());
    if (!is_list && column != kColumns.end()) property.column = static_cast<int>(column - kColumns.begin());
    element.properties.push_back(property);
    return absl::OkStatus();
  }

  const std::string_view text_;
  const std::string& path_;
  Header header_;
};

// Rows one after the other; `row` gets the columns that are asked for.
class TextRows {
 public:
  explicit TextRows(std::string_view text) : scan_(text) {}
  bool Read(const Element& element, double* row) {
    while (scan_.AtLineEnd()) {
      if (scan_.AtEnd()) return false;
      scan_.NextLine();
    }
    for (const Property& property : element.properties) {
      double value = 0;
      if (property.length) {
        double length = 0;
        if (!scan_.Number(&length)) return false;
        for (double k = 0; k < length; ++k) {
          if (!scan_.Number(&value)) return false;
        }
      } else if (!scan_.Number(&value)) {
        return false;
      }
      if (property.column >= 0) row[property.column] = value;
    }
    scan_.NextLine();
    return true;
  }

 private:
  TextScanner scan_;
};

class BinaryRows {
 public:
  BinaryRows(std::span<const uint8_t> bytes, Format format)
      : bytes_(bytes), swap_((format == Format::kLittle) != (std::endian::native == std::endian::little)) {}
  bool Read(const Element& element, double* row) {
    for (const Property& property : element.properties) {
      double value = 0;
      if (!Value(property.length.value_or(property.type), &value)) return false;
      if (property.length) {
        const double size = static_cast<double>(kSizes[static_cast<int>(property.type)]);
        // Not a number and negative ones are refused too.
        if (!(value >= 0 && value * size <= static_cast<double>(bytes_.size()))) return false;
        bytes_ = bytes_.subspan(static_cast<size_t>(value) * static_cast<size_t>(size));
      } else if (property.column >= 0) {
        row[property.column] = value;
      }
    }
    return true;
  }

 private:
  template <class T>
  double Take() {
    std::array<uint8_t, sizeof(T)> raw;
    std::memcpy(raw.data(), bytes_.data(), sizeof(T));
    if (swap_) std::reverse(raw.begin(), raw.end());
    bytes_ = bytes_.subspan(sizeof(T));
    return static_cast<double>(std::bit_cast<T>(raw));
  }
  bool Value(Scalar type, double* value) {
    if (bytes_.size() < kSizes[static_cast<int>(type)]) return false;
    switch (type) {
      case Scalar::kI8:
        *value = Take<int8_t>();
        break;
      case Scalar::kU8:
        *value = Take<uint8_t>();
        break;
      case Scalar::kI16:
        *value = Take<int16_t>();
        break;
      case Scalar::kU16:
        *value = Take<uint16_t>();
        break;
      case Scalar::kI32:
        *value = Take<int32_t>();
        break;
      case Scalar::kU32:
        *value = Take<uint32_t>();
        break;
      case Scalar::kF32:
        *value = Take<float>();
        break;
      case Scalar::kF64:
        *value = Take<double>();
        break;
    }
    return true;
  }

  std::span<const uint8_t> bytes_;
  const bool swap_;
};

template <class Rows>
absl::StatusOr<PlyVertices> ReadRows(const Header& header, Rows rows, size_t left, const std::string& path) {
  PlyVertices vertices;
  for (const Element& element : header.elements) {
    const bool wanted = element.name == "vertex";
    bool has[kColumns.size()] = {};
    for (const Property& property : element.properties) {
      if (property.column >= 0) has[property.column] = true;
    }
    if (wanted && !(has[0] && has[1] && has[2])) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": the element vertex has no x, y and z"));
    }
    const uint64_t least = element.LeastSize(header.format);
    // Each row takes room, so that no count keeps us busy for nothing.
    if (least == 0 && element.count > 0) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": element ", element.name, " has no properties"));
    }
    const auto ends = [&](int64_t i) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": the file ends, or is damaged, at row ", i,
                                                     " of ", element.count, " of element ", element.name));
    };
    // The last row of a text may lack the end of its line.
    if (element.count > 0 && static_cast<uint64_t>(element.count) > (left + 1) / least) return ends(0);
    vertices.has_normals = has[3] && has[4] && has[5];
    const size_t width = vertices.has_normals ? 6 : 3;
    if (wanted) vertices.values.reserve(static_cast<size_t>(element.count) * width);
    for (int64_t i = 0; i < element.count; ++i) {
      double row[kColumns.size()] = {};
      if (!rows.Read(element, row)) return ends(i);
      if (wanted) vertices.values.insert(vertices.values.end(), row, row + width);
    }
    if (!wanted) continue;
    vertices.count = element.count;
    return vertices;
  }
  return absl::InvalidArgumentError(absl::StrCat(path, ": has no element vertex"));
}

}  // namespace

absl::StatusOr<PlyVertices> ParsePlyVertices(std::span<const uint8_t> bytes, const std::string& path) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  MF_ASSIGN_OR_RETURN(const Header header, HeaderParser(text, path).Parse());
  const size_t left = bytes.size() - header.size;
  if (header.format == Format::kAscii)
    return ReadRows(header, TextRows(text.substr(header.size)), left, path);
  return ReadRows(header, BinaryRows(bytes.subspan(header.size), header.format), left, path);
}

}  // namespace manyform

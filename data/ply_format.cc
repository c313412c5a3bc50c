#include "data/ply_format.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/text_scanner.h"

namespace manyform {
namespace {

struct TypeName {
  const char* name;
  PlyType scalar;
};
constexpr TypeName kTypes[] = {
    {"char", PlyType::kI8},    {"int8", PlyType::kI8},     {"uchar", PlyType::kU8},
    {"uint8", PlyType::kU8},   {"short", PlyType::kI16},   {"int16", PlyType::kI16},
    {"ushort", PlyType::kU16}, {"uint16", PlyType::kU16},  {"int", PlyType::kI32},
    {"int32", PlyType::kI32},  {"uint", PlyType::kU32},    {"uint32", PlyType::kU32},
    {"float", PlyType::kF32},  {"float32", PlyType::kF32}, {"double", PlyType::kF64},
    {"float64", PlyType::kF64}};
constexpr uint64_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 8};
std::optional<PlyType> ParseType(absl::string_view name) {
  for (const TypeName& type : kTypes) {
    if (name == type.name) return type.scalar;
  }
  return std::nullopt;
}

// Bytes a row has at least.
uint64_t LeastSize(const PlyElement& element, PlyFormat format) {
  uint64_t size = format == PlyFormat::kAscii ? 1 : 0;
  for (const PlyProperty& p : element.properties) {
    // In text a number and what parts it from the next.
    const PlyType first = p.length.value_or(p.type);
    size += format == PlyFormat::kAscii ? 2 : kSizes[static_cast<int>(first)];
  }
  return size;
}

class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  absl::StatusOr<PlyHeader> Parse() {
    if (NextLine() != "ply") return Error("\"ply\" expected");
    bool has_format = false;
    while (header_.size < text_.size()) {
      const absl::string_view line = NextLine();
      const std::vector<absl::string_view> words =
          absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
      if (words.empty() || words[0] == "comment" || words[0] == "obj_info") continue;
      if (words[0] == "end_header") {
        return has_format ? absl::StatusOr<PlyHeader>(std::move(header_)) : Error("the format is missing");
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
    header_.format = name == "ascii"                  ? PlyFormat::kAscii
                     : name == "binary_little_endian" ? PlyFormat::kLittle
                                                      : PlyFormat::kBig;
    return absl::OkStatus();
  }
  absl::Status ParseElement(const std::vector<absl::string_view>& words) {
    PlyElement element;
    if (words.size() != 3 || !absl::SimpleAtoi(words[2], &element.count) || element.count < 0) {
      return Error("an element needs a name and a count");
    }
    element.name = std::string(words[1]);
    header_.elements.push_back(std::move(element));
    return absl::OkStatus();
  }
  absl::Status ParseProperty(const std::vector<absl::string_view>& words) {
    if (header_.elements.empty()) return Error("a property without element");
    PlyElement& element = header_.elements.back();
    PlyProperty property;
    const bool is_list = words.size() == 5 && words[1] == "list";
    if (is_list) property.length = ParseType(words[2]);
    if ((!is_list && words.size() != 3) || (is_list && !property.length)) {
      return Error("a property needs a type and a name");
    }
    const std::optional<PlyType> type = ParseType(words[words.size() - 2]);
    if (!type) return Error(absl::StrCat("unknown type \"", words[words.size() - 2].substr(0, 40), "\""));
    property.type = *type;
    property.name = std::string(words.back());
    element.properties.push_back(property);
    return absl::OkStatus();
  }

  const std::string_view text_;
  const std::string& path_;
  PlyHeader header_;
};

// Rows one after the other: the columns and the list that are asked for.
class TextRows {
 public:
  explicit TextRows(std::string_view text) : scan_(text) {}
  bool Read(const PlyElement& element, double* row, std::vector<double>* list) {
    while (scan_.AtLineEnd()) {
      if (scan_.AtEnd()) return false;
      scan_.NextLine();
    }
    for (const PlyProperty& property : element.properties) {
      double value = 0;
      if (property.length) {
        double length = 0;
        if (!scan_.Number(&length)) return false;
        if (!(length >= 0)) return false;
        for (uint64_t k = 0; static_cast<double>(k) < length; ++k) {
          if (!scan_.Number(&value)) return false;
          if (property.column >= 0) list->push_back(value);
        }
        continue;
      }
      if (!scan_.Number(&value)) return false;
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
  BinaryRows(std::span<const uint8_t> bytes, PlyFormat format)
      : bytes_(bytes),
        swap_((format == PlyFormat::kLittle) != (std::endian::native == std::endian::little)) {}
  bool Read(const PlyElement& element, double* row, std::vector<double>* list) {
    for (const PlyProperty& property : element.properties) {
      double value = 0;
      if (!Value(property.length.value_or(property.type), &value)) return false;
      if (property.length) {
        const double size = static_cast<double>(kSizes[static_cast<int>(property.type)]);
        // Not a number and negative ones are refused too.
        if (!(value >= 0 && value * size <= static_cast<double>(bytes_.size()))) return false;
        if (property.column < 0) {
          bytes_ = bytes_.subspan(static_cast<size_t>(value) * static_cast<size_t>(size));
          continue;
        }
        list->resize(static_cast<size_t>(value));
        for (double& entry : *list) {
          if (!Value(property.type, &entry)) return false;
        }
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
  bool Value(PlyType type, double* value) {
    if (bytes_.size() < kSizes[static_cast<int>(type)]) return false;
    switch (type) {
      case PlyType::kI8:
        *value = Take<int8_t>();
        break;
      case PlyType::kU8:
        *value = Take<uint8_t>();
        break;
      case PlyType::kI16:
        *value = Take<int16_t>();
        break;
      case PlyType::kU16:
        *value = Take<uint16_t>();
        break;
      case PlyType::kI32:
        *value = Take<int32_t>();
        break;
      case PlyType::kU32:
        *value = Take<uint32_t>();
        break;
      case PlyType::kF32:
        *value = Take<float>();
        break;
      case PlyType::kF64:
        *value = Take<double>();
        break;
    }
    return true;
  }

  std::span<const uint8_t> bytes_;
  const bool swap_;
};

template <class Rows>
absl::Status VisitRows(const PlyHeader& header, Rows rows, size_t left, const std::string& path,
                       const std::function<PlyRowVisitor(const PlyElement&)>& visit_element) {
  std::vector<PlyRowVisitor> visitors;
  visitors.reserve(header.elements.size());
  for (const PlyElement& element : header.elements) visitors.push_back(visit_element(element));
  while (!visitors.empty() && visitors.back() == nullptr) visitors.pop_back();
  std::vector<double> list;
  for (size_t e = 0; e < visitors.size(); ++e) {
    const PlyElement& element = header.elements[e];
    const uint64_t least = LeastSize(element, header.format);
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
    for (int64_t i = 0; i < element.count; ++i) {
      double columns[kMaxPlyColumns] = {};
      list.clear();
      if (!rows.Read(element, columns, &list)) return ends(i);
      if (visitors[e] != nullptr) MF_RETURN_IF_ERROR(visitors[e](i, columns, list));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PlyHeader> ParsePlyHeader(std::string_view text, const std::string& path) {
  return HeaderParser(text, path).Parse();
}

absl::Status VisitPlyRows(const PlyHeader& header, std::span<const uint8_t> bytes, const std::string& path,
                          const std::function<PlyRowVisitor(const PlyElement&)>& visit_element) {
  const size_t left = bytes.size() - header.size;
  if (header.format == PlyFormat::kAscii) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return VisitRows(header, TextRows(text.substr(header.size)), left, path, visit_element);
  }
  return VisitRows(header, BinaryRows(bytes.subspan(header.size), header.format), left, path, visit_element);
}

}  // namespace manyform

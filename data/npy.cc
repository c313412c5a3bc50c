#include "data/npy.h"

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/string_views.h"

namespace manyform {
namespace {

constexpr absl::string_view kMagic = "\x93NUMPY";
constexpr uint64_t kAlignment = 64;
// Magic, version and, in version 1, a 16-bit length.
constexpr uint64_t kStart = 10;
constexpr int kMaxRank = 32;
constexpr uint64_t kMaxBytes = uint64_t{1} << 48;

struct DTypeEntry {
  DType dtype;
  absl::string_view name;
  int64_t item_size;
};
constexpr DTypeEntry kDTypes[] = {
    {DType::kF16, "<f2", 2}, {DType::kF32, "<f4", 4},  {DType::kF64, "<f8", 8}, {DType::kU8, "|u1", 1},
    {DType::kI8, "|i1", 1},  {DType::kBool, "|b1", 1}, {DType::kI16, "<i2", 2}, {DType::kU16, "<u2", 2},
    {DType::kI32, "<i4", 4}, {DType::kU32, "<u4", 4},  {DType::kI64, "<i8", 8}, {DType::kU64, "<u8", 8},
};

// Reads the few Python literals a header holds.
class Literals {
 public:
  explicit Literals(absl::string_view text) : text_(text) {}
  bool Eat(char c) {
    SkipSpace();
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool Peek(char c) {
    SkipSpace();
    return !text_.empty() && text_[0] == c;
  }
  bool String(std::string* value) {
    SkipSpace();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) return false;
    const size_t end = text_.find(text_[0], 1);
    if (end == absl::string_view::npos) return false;
    *value = std::string(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return true;
  }
  bool Bool(bool* value) {
    SkipSpace();
    *value = text_.substr(0, 4) == "True";
    if (!*value && text_.substr(0, 5) != "False") return false;
    text_.remove_prefix(*value ? 4 : 5);
    return true;
  }
  bool Int(int64_t* value) {
    SkipSpace();
    size_t digits = 0;
    while (digits < text_.size() && absl::ascii_isdigit(static_cast<unsigned char>(text_[digits]))) ++digits;
    if (digits == 0 || !absl::SimpleAtoi(text_.substr(0, digits), value)) return false;
    text_.remove_prefix(digits);
    // Python 2's long.
    if (!text_.empty() && text_[0] == 'L') text_.remove_prefix(1);
    return true;
  }
  bool Shape(std::vector<int64_t>* shape) {
    if (!Eat('(')) return false;
    while (!Eat(')')) {
      int64_t side = 0;
      if (shape->size() == kMaxRank || !Int(&side)) return false;
      shape->push_back(side);
      if (!Eat(',') && !Peek(')')) return false;
    }
    return true;
  }
  bool AtEnd() {
    SkipSpace();
    return text_.empty();
  }

 private:
  void SkipSpace() {
    while (!text_.empty() && absl::ascii_isspace(static_cast<unsigned char>(text_[0])))
      text_.remove_prefix(1);
  }
  absl::string_view text_;
};

}  // namespace

std::string DTypeName(DType dtype) {
  for (const DTypeEntry& entry : kDTypes) {
    if (entry.dtype == dtype) return std::string(entry.name);
  }
  return "<U";
}

int64_t ItemSize(DType dtype) {
  for (const DTypeEntry& entry : kDTypes) {
    if (entry.dtype == dtype) return entry.item_size;
  }
  return 0;
}

std::string DescrOf(DType dtype, int64_t item_size) {
  std::string descr = DTypeName(dtype);
  if (dtype == DType::kUnicode) absl::StrAppend(&descr, item_size / 4);
  return descr;
}

absl::StatusOr<ElementType> ParseDescr(std::string_view std_descr, std::string_view where) {
  const absl::string_view descr = ToAbsl(std_descr);
  for (const DTypeEntry& entry : kDTypes) {
    // NumPy writes '|' for single bytes; others have been seen to write '<' there.
    const bool byte_order_fits = descr.size() == 3 && (descr[0] == entry.name[0] || entry.item_size == 1);
    if (byte_order_fits && descr.substr(1) == entry.name.substr(1)) {
      return ElementType{entry.dtype, entry.item_size};
    }
  }
  int32_t characters = 0;
  if (absl::StartsWith(descr, "<U") && absl::SimpleAtoi(descr.substr(2), &characters) && characters > 0) {
    return ElementType{DType::kUnicode, int64_t{4} * characters};
  }
  const bool big = absl::StartsWith(descr, ">");
  return absl::UnimplementedError(
      absl::StrCat(ToAbsl(where), ": dtype \"", absl::CHexEscape(descr), "\" ",
                   big ? "is big-endian; little-endian expected" : "is not supported"));
}

std::optional<uint64_t> ArrayBytes(int64_t item_size, std::span<const int64_t> shape) {
  bool empty = item_size == 0;
  // An empty array's other sides are bounded too, so that products of them cannot overflow.
  uint64_t product = std::max<int64_t>(1, item_size);
  for (const int64_t side : shape) {
    if (side < 0) return std::nullopt;
    empty |= side == 0;
    const uint64_t factor = std::max<uint64_t>(1, side);
    if (product > kMaxBytes / factor) return std::nullopt;
    product *= factor;
  }
  return empty ? 0 : product;
}

absl::StatusOr<NpyHeader> ParseNpyHeader(std::span<const uint8_t> npy, std::string_view std_where) {
  const absl::string_view where = ToAbsl(std_where);
  const absl::string_view bytes(reinterpret_cast<const char*>(npy.data()), npy.size());
  if (bytes.substr(0, kMagic.size()) != kMagic) {
    return absl::DataLossError(absl::StrCat(where, ": not an .npy array"));
  }
  const uint8_t version = npy.size() > 6 ? npy[6] : 0;
  const uint64_t start = version == 1 ? kStart : kStart + 2;
  uint32_t length = 0;
  if (version < 1 || version > 3) {
    return absl::DataLossError(absl::StrCat(where, ": .npy version ", version, "; 1 to 3 expected"));
  }
  if (npy.size() >= start) memcpy(&length, npy.data() + 8, start - 8);
  if (npy.size() < start || length > npy.size() - start) {
    return absl::DataLossError(absl::StrCat(where, ": .npy header truncated"));
  }
  Literals text(bytes.substr(start, length));
  const absl::Status malformed = absl::DataLossError(absl::StrCat(where, ": .npy header malformed"));
  NpyHeader header;
  std::string descr;
  bool have_descr = false, have_order = false, have_shape = false;
  if (!text.Eat('{')) return malformed;
  while (!text.Eat('}')) {
    std::string key;
    if (!text.String(&key) || !text.Eat(':')) return malformed;
    if (key == "descr" && !have_descr) {
      if (text.Peek('[')) return absl::UnimplementedError(absl::StrCat(where, ": structured dtype"));
      have_descr = text.String(&descr) && !descr.empty();
    } else if (key == "fortran_order" && !have_order) {
      have_order = text.Bool(&header.fortran_order);
    } else if (key == "shape" && !have_shape) {
      have_shape = text.Shape(&header.shape);
    } else {
      return malformed;
    }
    if (!text.Eat(',') && !text.Peek('}')) return malformed;
  }
  if (!have_descr || !have_order || !have_shape || !text.AtEnd()) return malformed;
  MF_ASSIGN_OR_RETURN(const ElementType type, ParseDescr(descr, std_where));
  header.dtype = type.dtype;
  header.item_size = type.item_size;
  const std::optional<uint64_t> data_size = ArrayBytes(header.item_size, header.shape);
  if (!data_size) return absl::DataLossError(absl::StrCat(where, ": .npy array larger than any file"));
  header.data_size = *data_size;
  header.header_size = start + length;
  return header;
}

std::string EncodeNpyHeader(const Array& array) {
  std::string dict =
      absl::StrCat("{'descr': '", DescrOf(array.dtype, array.item_size),
                   "', 'fortran_order': ", array.fortran_order ? "True" : "False", ", 'shape': (");
  for (size_t i = 0; i < array.shape.size(); ++i) absl::StrAppend(&dict, i == 0 ? "" : ", ", array.shape[i]);
  absl::StrAppend(&dict, array.shape.size() == 1 ? ",), }" : "), }");
  // NumPy leaves room to rewrite the growing side in place (21 digits), then pads by 1 to 64.
  if (!array.shape.empty()) {
    const int64_t growing = array.fortran_order ? array.shape.back() : array.shape.front();
    dict.append(21 - std::min<size_t>(21, absl::StrCat(growing).size()), ' ');
  }
  dict.append(kAlignment - (kStart + dict.size() + 1) % kAlignment, ' ');
  dict.push_back('\n');
  std::string header(kMagic.data(), kMagic.size());
  const uint16_t length = static_cast<uint16_t>(dict.size());
  header.append({1, 0, static_cast<char>(length & 0xff), static_cast<char>(length >> 8)});
  return header + dict;
}

std::string EncodeNpy(const Array& array) {
  std::string npy = EncodeNpyHeader(array);
  npy.append(reinterpret_cast<const char*>(array.data), array.size() * array.item_size);
  return npy;
}

}  // namespace manyform
